"""Provide the dlt source for jobs of AvePoint Cloud Backup for Microsoft 365.

import dlt
from avepoint_m365 import avepoint_m365

dlt.pipeline("jobs", destination="duckdb").run(avepoint_m365())
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dlt
from dlt.extract import DltResource

from avepoint_m365.config import TrustedHosts
from avepoint_m365.constants import MAX_PAGE_MB
from avepoint_m365.credentials import AvePointCredentials

if TYPE_CHECKING:
    from avepoint_m365.extract.extraction import Extraction
    from avepoint_m365.extract.known import Lookup
    from avepoint_m365.extract.progress import Progress

__all__ = ["Progress", "avepoint_m365", "extraction_of"]


def __getattr__(name: str) -> object:
    """Import ``Progress`` on demand: its package needs half the import time of dlt, and many programs never load."""
    if name == "Progress":
        from avepoint_m365.extract.progress import Progress

        return Progress
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def extraction_of(settings: Mapping[str, object], progress: Progress) -> Extraction:
    """Return the extraction of a tenant, for use without dlt; ``settings`` are all parameters of the source by name.

    Raises:
        ConfigurationError: with the key, the value and the known values.
    """
    from avepoint_m365.source_config import make_extraction

    return make_extraction(settings, progress, _now())


@dlt.source(name="avepoint_m365", section="avepoint_m365")
def avepoint_m365(  # noqa: PLR0913 - a parameter for each configuration key
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
    expected_outside: list[str] | None = None,
    expected_object_types: list[str] | None = None,
    ignored_object_types: list[str] | None = None,
    max_page_mb: int = MAX_PAGE_MB,
    include: str | list[str] | None = None,
    trusted_hosts: TrustedHosts = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    chunk_jobs: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
    lookup: Lookup | None = None,
    verify_since: datetime | None = None,
) -> Iterator[DltResource]:
    """Return the jobs of one tenant: a resource for each location and object type, all filling the same tables.

    Args:
        credentials: Client id with secret or certificate.
        data_center: Data centre of the tenant; it determines the host and the identity service.
        environment: commercial, gov, aos2 or fedramp; from ``data_center`` if unset.
        base_url: URL of the API in place of the data centre's; https, or http on loopback.
        token_url: URL for tokens in place of the environment's; https, or http on loopback.
        endpoint: jobs, cloudbackupjobs, or auto (the one that the host has).
        tenant: Label of the tenant in every row and of its cursors; another tenant needs another label.
        locations: Locations of a Multi-Geo tenant, such as NAM or EUR; if unset, jobs have no location.
        object_types: Services to load; all twelve if unset.
        split_job_types: Whether jobs are classified by job type, for the column ``job_type``.
        start_date: Start of the first load (UTC without a zone); two years ago if unset. ``load --since`` reads
            earlier jobs.
        lag_hours: Hours behind the newest finish at which each load begins.
        max_open_days: Days for which an unfinished job is followed.
        page_size: Jobs that a request asks for on a page; the server may return fewer.
        concurrency: The most requests in flight.
        keep_unknown_fields: Keep fields of a job that the reference does not name, as JSON in ``jobs.unknown_fields``.
        expected_outside: Labels (location, object_type, job_type) that jobs may lack without a finding.
        expected_object_types: Services that must be protected; for marts and health.
        ignored_object_types: Services that marts and health leave out.
        max_page_mb: The most megabytes of a response; a larger page is requested again in smaller pages.
        include: Companions that loads read: names, ``context`` (all), ``none``, or ``auto`` (those that the
            permissions allow); ``auto`` if unset.
        trusted_hosts: Hosts that ``base_url`` and ``token_url`` may name beside loopback and the vendor's; taken from
            secrets and the environment only.
        since: Start of a backfill, which leaves the cursors alone (UTC without a zone).
        until: End of the loaded range (UTC without a zone); now if unset, or if it lies in the future.
        chunk_jobs: The most jobs of one chunk of a long range; ``progress.chunk_end`` is the end of a chunk, and
            another load continues there.
        run_id: Id of the load in ``load_audit``; a new one if unset.
        progress: The progress of the load, which is updated while it works.
        verify_since: Compare the history from this time on (UTC) with the API's totals, and read differing parts again.
        lookup: Access to the jobs in the warehouse; if unset, the source uses the pipeline's dataset.

    Raises:
        ConfigurationError: before any request, with the key, the value and the known values.
    """
    settings = dict(locals())
    from avepoint_m365.extract.progress import Progress
    from avepoint_m365.lookup import lookup_of_current_pipeline
    from avepoint_m365.resources import Resources

    progress = progress or Progress()
    extraction = extraction_of(settings, progress)
    resources = Resources(extraction, progress, keep_unknown_fields, lookup_of_current_pipeline)
    for location in extraction.options.locations or (None,):
        for object_type in extraction.options.object_types:
            yield resources.partition(location, object_type)
