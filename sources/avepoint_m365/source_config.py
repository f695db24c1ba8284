"""Validate the settings of a load as a whole, and make the extraction of a tenant; no request is sent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

from avepoint_m365.api.connection import client_of
from avepoint_m365.config import SECTION, check_locations, check_object_types, parse_moment
from avepoint_m365.constants import LABELS
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract.extraction import Extraction
from avepoint_m365.extract.known import Lookup
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.extract.progress import Progress

logger = logging.getLogger(__name__)

DEFAULT_HISTORY = timedelta(days=730)
"""History of the first load without ``start_date``."""

MAX_PAGE_SIZE = 100_000

MAX_DURATION = 100_000
"""Upper bound of ``lag_hours`` (hours) and ``max_open_days`` (days): Python has no times before the year 1."""


def make_extraction(settings: Mapping[str, object], progress: Progress, now: datetime) -> Extraction:
    """Return the extraction of a tenant; no request is sent yet.

    Args:
        settings: Every parameter of the source by name.
        progress: The progress of the load, which the extraction updates.
        now: The time at which the load begins (UTC).

    Raises:
        ConfigurationError: with the key, the value and the known values.
    """
    options = extract_options(now, settings)
    client = client_of(settings, progress.stats).client
    return Extraction(client, options, progress, cast("Lookup | None", settings["lookup"]))


def extract_options(now: datetime, settings: Mapping[str, object]) -> ExtractOptions:
    """Return the options of a load.

    A field of ``ExtractOptions`` has the value of the parameter of its name, unless it is converted here.

    Args:
        now: The time at which the load begins (UTC).
        settings: Every parameter of the source by name.

    Raises:
        ConfigurationError: with the key, the value and the known values.
    """
    given: dict[str, Any] = dict(settings)
    _check_values(given)
    locations, warnings = check_locations(given["locations"])
    for warning in warnings:
        logger.warning(warning)
    since, until, start_date = given["since"], given["until"], given["start_date"]
    end = parse_moment("until", until) if until else now
    converted = {
        "run_id": given["run_id"] or uuid4().hex,
        "start_date": parse_moment(f"{SECTION}.start_date", start_date) if start_date else now - DEFAULT_HISTORY,
        "until": min(end, now),
        "open_ended": end >= now,
        "lag": timedelta(hours=given["lag_hours"]),
        "max_open": timedelta(days=given["max_open_days"]),
        "since": parse_moment("since", since) if since else None,
        "backfill_until": str(until or "now"),
        "object_types": tuple(check_object_types(given["object_types"])),
        "locations": tuple(location for location in locations if location is not None),
        "expected_outside": tuple(given["expected_outside"] or ()),
    }
    options = ExtractOptions(**{name: given[name] for name in ExtractOptions._fields if name in given} | converted)
    _check_range(options)
    return options


def _check_values(given: Mapping[str, Any]) -> None:
    if not 1 <= given["page_size"] <= MAX_PAGE_SIZE:
        raise ConfigurationError(
            f"Out of range: {SECTION}.page_size = {given['page_size']} must lie between 1 and {MAX_PAGE_SIZE}."
        )
    for key in ("lag_hours", "max_open_days"):
        if not 0 <= given[key] < MAX_DURATION:
            raise ConfigurationError(
                f"Out of range: {SECTION}.{key} = {given[key]} must be 0 or more, and less than {MAX_DURATION}."
            )
    if not given["tenant"].strip():
        raise ConfigurationError(f"Empty label: {SECTION}.tenant = {given['tenant']!r}. Set a name.")
    for kind in given["expected_outside"] or ():
        if kind not in LABELS:
            raise ConfigurationError(
                f"Unknown kind: {SECTION}.expected_outside = {kind!r}. Known are {', '.join(LABELS)}."
            )
    for key in ("expected_object_types", "ignored_object_types"):
        check_object_types(given[key], key)


def _check_range(options: ExtractOptions) -> None:
    asked = options.since or options.verify_since
    begin = asked or options.start_date
    if begin >= options.until:
        key = "since" if asked else f"{SECTION}.start_date"
        raise ConfigurationError(
            f"Empty range: {key} = {begin:%Y-%m-%d %H:%M} UTC leaves nothing to load, since the range ends "
            f"{options.until:%Y-%m-%d %H:%M} UTC. Set an earlier start."
        )
