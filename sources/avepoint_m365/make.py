"""Make an extraction from settings, for the source and for programs that read without dlt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from avepoint_m365.api.connection import client_of
from avepoint_m365.extract.extraction import Extraction
from avepoint_m365.extract.known import Lookup
from avepoint_m365.extract.progress import Progress
from avepoint_m365.source_config import extract_options


def make_extraction(settings: Mapping[str, object], progress: Progress, now: datetime) -> Extraction:
    """Return what reads a tenant; no request is sent yet.

    Args:
        settings: Every parameter of the source by name.
        progress: Kept up to date while the load works; it keeps the extraction as well.
        now: The time at which the load begins (UTC).

    Raises:
        ConfigurationError: with the key, the value and the known values.
    """
    options = extract_options(now, settings)
    client = client_of(settings, progress.stats).client
    progress.extraction = Extraction(client, options, progress, cast("Lookup | None", settings["lookup"]))
    return progress.extraction
