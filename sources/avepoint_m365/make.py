"""Make an extraction from settings, for the source and for programs that read without dlt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from inspect import signature
from typing import Any

from avepoint_m365.api.connection import client_of
from avepoint_m365.config import check_object_types
from avepoint_m365.extract.extraction import Extraction
from avepoint_m365.extract.progress import Progress
from avepoint_m365.source_config import extract_options


def make_extraction(settings: Mapping[str, Any], progress: Progress, now: datetime) -> Extraction:
    """Return what reads a tenant; no request is sent yet.

    Args:
        settings: Every parameter of the source by name.
        progress: Kept up to date while the load works; it keeps the extraction as well.
        now: The time at which the load begins (UTC).

    Raises:
        ConfigurationError: with the key, the value and the known values.
    """
    for key in ("expected_object_types", "ignored_object_types"):
        check_object_types(settings[key], key)
    names = [name for name in signature(extract_options).parameters if name != "now"]
    options = extract_options(now, **{name: settings[name] for name in names})
    client = client_of(
        settings["credentials"],
        settings["data_center"],
        settings["environment"],
        settings["base_url"],
        settings["token_url"],
        settings["endpoint"],
        settings["concurrency"],
        settings["trusted_hosts"],
        settings["max_page_mb"],
        progress.stats,
    ).client
    progress.extraction = Extraction(client, options, progress, settings["lookup"])
    return progress.extraction
