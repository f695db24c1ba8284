"""Define the context of one chunk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from avepoint_m365.api.client import JobsClient
from avepoint_m365.endpoints import ParameterSpelling
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.follow import JobById
from avepoint_m365.extract.known import KnownJob, Lookup
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.scan import WindowScanner
from avepoint_m365.extract.source_finding import SourceFinding
from avepoint_m365.extract.window import Interval
from avepoint_m365.state import SourceState, is_due


@dataclass
class Chunk:
    """Hold what the steps of a chunk share: the access to the API and the warehouse, and what is known of the API."""

    client: JobsClient
    options: ExtractOptions
    lookup: Lookup | None
    state: SourceState
    interval: Interval | None
    pool: RequestPool
    findings: list[SourceFinding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.behavior = behavior = self.state.behavior
        until = self.options.until
        self.client.prefer_generation(behavior.endpoint)
        if behavior.pascal_case:
            self.client.spelling = ParameterSpelling.pascal
        paging = PagingBehavior(
            self.options.page_size,
            largest_page=behavior.largest_page,
            longest_list=behavior.longest_list,
            doubts_limits=is_due(behavior.reconciled_at, until),
            total_surplus=behavior.total_surplus,
            totals_count_others=not is_due(behavior.other_totals_at, until),
        )
        self.reader = ListingReader(self.pool, paging)
        self.limits = RangeLimits(behavior.longest_range)
        self.scanner = WindowScanner(self.client, self.reader, self.limits, self.options)
        self.scanner.confirms_empty = is_due(behavior.empty_at, until)
        self.scanner.by_location = behavior.by_location and bool(self.options.locations)
        if self.lookup is not None and self.lookup.is_empty():
            self.lookup = None

    @property
    def job_by_id(self) -> JobById | None:
        """Return the function that requests a single job; None if the endpoint has no path for it."""
        return self.client.job_by_id if self.client.has_single_jobs else None

    @property
    def is_range(self) -> bool:
        """Return whether the load reads a given range, which leaves the cursors alone."""
        return self.options.since is not None or self.interval is not None or self.options.verify_since is not None

    def known_jobs(self, ids: Collection[str]) -> dict[str, KnownJob]:
        """Return the jobs with these ids that the warehouse holds."""
        return {} if self.lookup is None else {job.id: job for job in self.lookup.jobs(sorted(ids))}

    def most_is_unknown(self, ids: set[str]) -> bool:
        """Return whether the warehouse lacks more than half of the jobs with these ids."""
        return self.lookup is None or 2 * len(self.lookup.jobs(sorted(ids))) < len(ids)
