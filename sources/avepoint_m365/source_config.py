"""Validate the settings of a load as a whole before any request is made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from avepoint_m365.config import SECTION, check_locations, check_object_types, parse_moment
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract.options import ExtractOptions

logger = logging.getLogger(__name__)

DEFAULT_HISTORY = timedelta(days=730)
"""How far back the first load begins if no ``start_date`` is given."""

MAX_PAGE_SIZE = 100_000

MAX_LENGTH = 100_000
"""Hours of lag, or days that a job is followed: longer ones reach back before the times that Python knows."""

OUTSIDE_KINDS = ("location", "object_type", "job_type")
"""Values of ``expected_outside``."""


def extract_options(  # noqa: PLR0913 - a parameter for each configuration key
    now: datetime,
    tenant: str,
    locations: Sequence[str] | None,
    object_types: Sequence[str] | None,
    start_date: str | None,
    lag_hours: float,
    max_open_days: float,
    page_size: int,
    split_job_types: bool,
    expected_outside: Sequence[str] | None,
    since: str | datetime | None,
    until: str | datetime | None,
    chunk_jobs: int | None,
    run_id: str | None,
    verify_since: datetime | None = None,
) -> ExtractOptions:
    """Return the options of a load; ``now`` is the time at which it begins (UTC).

    Raises:
        ConfigurationError: with the key, the value and the known values.
    """
    _check_numbers(page_size, lag_hours, max_open_days)
    if not tenant.strip():
        raise ConfigurationError(f"Empty label: {SECTION}.tenant = {tenant!r}. Set a name.")
    for kind in expected_outside or ():
        if kind not in OUTSIDE_KINDS:
            raise ConfigurationError(
                f"Unknown kind: {SECTION}.expected_outside = {kind!r}. Known are {', '.join(OUTSIDE_KINDS)}."
            )
    asked, warnings = check_locations(locations)
    for warning in warnings:
        logger.warning(warning)
    end = parse_moment("until", until) if until else now
    options = ExtractOptions(
        tenant=tenant,
        run_id=run_id or uuid4().hex,
        start_date=parse_moment(f"{SECTION}.start_date", start_date) if start_date else now - DEFAULT_HISTORY,
        until=min(end, now),
        open_ended=end >= now,
        lag=timedelta(hours=lag_hours),
        max_open=timedelta(days=max_open_days),
        since=parse_moment("since", since) if since else None,
        backfill_until=str(until or "now"),
        object_types=tuple(check_object_types(object_types)),
        locations=tuple(location for location in asked if location is not None),
        split_job_types=split_job_types,
        page_size=page_size,
        chunk_jobs=chunk_jobs,
        expected_outside=tuple(expected_outside or ()),
        verify_since=verify_since,
    )
    _check_range(options)
    return options


def _check_numbers(page_size: int, lag_hours: float, max_open_days: float) -> None:
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise ConfigurationError(f"{SECTION}.page_size = {page_size} must lie between 1 and {MAX_PAGE_SIZE}.")
    for key, length in {"lag_hours": lag_hours, "max_open_days": max_open_days}.items():
        if not 0 <= length < MAX_LENGTH:
            raise ConfigurationError(f"{SECTION}.{key} = {length} must be 0 or more, and less than {MAX_LENGTH}.")


def _check_range(options: ExtractOptions) -> None:
    begin = options.since or options.start_date
    if begin >= options.until:
        key = "since" if options.since else f"{SECTION}.start_date"
        raise ConfigurationError(
            f"{key} = {begin:%Y-%m-%d %H:%M} UTC leaves nothing to load: the range ends "
            f"{options.until:%Y-%m-%d %H:%M} UTC."
        )
