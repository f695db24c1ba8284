"""The dlt source for jobs of AvePoint Cloud Backup for Microsoft 365.

import dlt
from avepoint_m365 import avepoint_m365

dlt.pipeline("jobs", destination="duckdb").run(avepoint_m365())
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dlt
from dlt.extract import DltResource

from avepoint_m365.api.connection import TrustedHosts, connect
from avepoint_m365.config import (
    SECTION,
    AvePointCredentials,
    check_locations,
    check_object_types,
    parse_moment,
)
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract.extraction import Progress, Reading
from avepoint_m365.extract.listing import PartitionReader
from avepoint_m365.resources import Resources, Terms

__all__ = ["Progress", "avepoint_m365"]

logger = logging.getLogger(__name__)

DEFAULT_HISTORY = timedelta(days=730)
"""How far back the first load begins where no ``start_date`` is given."""

MOST_PAGE_SIZE = 100_000

LONGEST = 100_000
"""Hours of lag, or days that a job is followed, below which no window begins before the times that Python knows."""


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dlt.source(name="avepoint_m365", section="avepoint_m365")
def avepoint_m365(
    credentials: AvePointCredentials = dlt.secrets.value,
    data_center: str = "us",
    environment: str | None = None,
    base_url: str | None = None,
    token_url: str | None = None,
    endpoint: str = "auto",
    tenant: str = "default",
    locations: list[str] | None = None,
    object_types: list[str] | None = None,
    split_job_types: bool = True,
    start_date: str | None = None,
    lag_hours: float = 24,
    max_open_days: float = 14,
    page_size: int = 500,
    concurrency: int = 8,
    keep_unknown_fields: bool = False,
    expected_object_types: list[str] | None = None,
    ignored_object_types: list[str] | None = None,
    trusted_hosts: TrustedHosts = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    slice_jobs: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> Iterator[DltResource]:
    """Jobs of one tenant: a resource for each location and object type, all filling the same four tables.

    Args:
        credentials: Client id with secret or certificate.
        data_center: Where the tenant lives; picks host and identity service.
        environment: commercial, gov, aos2 or fedramp; from ``data_center`` where unset.
        base_url: API address instead of the data centre's.
        token_url: Token address instead of the environment's.
        endpoint: jobs, cloudbackupjobs, or auto (whichever the host has).
        tenant: Label stamped on every row.
        locations: Locations of a Multi-Geo tenant; unset asks once, for all.
        object_types: Services to load; all twelve where unset.
        split_job_types: Whether to ask per job type too, so that rows know theirs.
        start_date: Where the first load begins (UTC without a zone); two years ago where unset.
        lag_hours: Hours behind the newest finish that each load looks again.
        max_open_days: Days for which an unfinished job is followed.
        page_size: Jobs asked for on a page; the server may give fewer.
        concurrency: Requests in flight at most.
        keep_unknown_fields: Keep fields of a job that the reference does not name, as JSON in ``jobs.unknown_fields``.
        expected_object_types: Services that must be protected; for those who judge the warehouse.
        ignored_object_types: Services that they leave out.
        trusted_hosts: Hosts that ``base_url`` and ``token_url`` may name beside the vendor's.
        since: Loads from here as a backfill, which leaves the cursors alone (UTC without a zone).
        until: Loads up to here; now where unset, or where it lies in the future.
        slice_jobs: Ends a long range earlier where it would hold more jobs than that; ``progress.cut_at`` then says
            where, and another load goes on from there.
        run_id: Stamped on the rows of ``load_audit``; made up where unset.
        progress: Kept up to date while the load works.

    Raises:
        ConfigurationError: before any request, naming the key, the value and the known values.
    """
    if not 1 <= page_size <= MOST_PAGE_SIZE:
        raise ConfigurationError(f"{SECTION}.page_size = {page_size} must lie between 1 and {MOST_PAGE_SIZE}.")
    if not tenant.strip():
        raise ConfigurationError(f"{SECTION}.tenant = {tenant!r} is empty.")
    for key, length in {"lag_hours": lag_hours, "max_open_days": max_open_days}.items():
        if not 0 <= length < LONGEST:
            raise ConfigurationError(f"{SECTION}.{key} = {length} must be 0 or more, and less than {LONGEST}.")
    for key, names in {"expected": expected_object_types, "ignored": ignored_object_types}.items():
        check_object_types(names, f"{key}_object_types")
    asked, warnings = check_locations(locations)
    for warning in warnings:
        logger.warning(warning)
    now = _now()
    end = parse_moment("until", until) if until else now
    terms = Terms(
        tenant=tenant,
        run_id=run_id or uuid4().hex,
        start_date=parse_moment(f"{SECTION}.start_date", start_date) if start_date else now - DEFAULT_HISTORY,
        until=min(end, now),
        open_ended=end >= now,
        lag=timedelta(hours=lag_hours),
        max_open=timedelta(days=max_open_days),
        keep_unknown_fields=keep_unknown_fields,
        since=parse_moment("since", since) if since else None,
        backfill_until=str(until or "now"),
    )
    begin = terms.since or terms.start_date
    if begin >= terms.until:
        key = "since" if terms.since else f"{SECTION}.start_date"
        raise ConfigurationError(
            f"{key} = {begin:%Y-%m-%d %H:%M} UTC leaves nothing to load: the range ends "
            f"{terms.until:%Y-%m-%d %H:%M} UTC."
        )
    progress = progress or Progress()
    connection = connect(
        credentials,
        data_center,
        environment,
        base_url,
        token_url,
        endpoint,
        concurrency,
        trusted_hosts,
        stats=progress.traffic,
    )
    reader = PartitionReader(page_size, split_job_types)
    resources = Resources(terms, Reading(connection.client, reader, progress, slice_jobs))
    for location in asked:
        for object_type in check_object_types(object_types):
            yield resources.partition(location, object_type)
