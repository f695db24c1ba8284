"""Extract one load of a tenant, from the requested window to the rows that are new.

An incremental load first scans the window: one listing of all its jobs. Jobs that are unchanged in the warehouse are
neither classified nor written. If the warehouse lacks most jobs of a range, the range is read in bulk, by object type.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.page import JobsPage
from avepoint_m365.endpoints import ParameterSpelling, Params
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract import checks, window_plan
from avepoint_m365.extract.chunk_classifier import dimensions
from avepoint_m365.extract.chunk_labels import ChunkLabels, known_labels
from avepoint_m365.extract.chunk_result import build_result
from avepoint_m365.extract.classify import Dimension
from avepoint_m365.extract.cut_lists import learn_longest_list
from avepoint_m365.extract.deduplicate import deduplicate_latest, filter_ids
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.follow import JobById
from avepoint_m365.extract.known import KnownJob, Lookup, compare
from avepoint_m365.extract.label_chunk import label_chunk
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.options import ChunkResult, ExtractOptions, SourceFinding
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.progress import Progress
from avepoint_m365.extract.scan import Scan, WindowScanner
from avepoint_m365.extract.upkeep import run_upkeep, verify_history
from avepoint_m365.extract.window import EDGE
from avepoint_m365.state import SourceState, is_due

Interval = tuple[datetime, datetime]
"""Start and end (UTC) of the range that an external scheduler asks for."""


class Extraction:
    """Read a tenant, chunk by chunk; each call of ``read`` is one chunk."""

    def __init__(
        self, client: JobsClient, options: ExtractOptions, progress: Progress, lookup: Lookup | None = None
    ) -> None:
        """Keep ``lookup``, the access to the warehouse; without it every job counts as unknown."""
        self.options, self.lookup = options, lookup
        self._client, self._progress = client, progress

    def read(self, state: SourceState, interval: Interval | None = None) -> ChunkResult:
        """Return the new and changed jobs of the next chunk.

        Args:
            state: The state that the last load kept.
            interval: The range (UTC) of an external scheduler; None for an incremental load.

        Raises:
            SourceError: if nothing could be read.
        """
        if self.lookup is not None:
            self._client.before_request = self.lookup.release
        # Sessions of requests hold each other, so connections would stay open until Python breaks up such circles.
        with closing(self._client), RequestPool(self._request_page, self._client.concurrency) as pool:
            try:
                return ChunkReader(self._client, self.options, self.lookup, state, interval, pool).run()
            except KeyboardInterrupt:
                # Python interrupts the main thread only; the pool waits for its own.
                self._client.stats.interrupted.set()
                raise

    def over(self, options: ExtractOptions, lookup: Lookup | None) -> Extraction:
        """Return an extraction with the same client, and with these options and this lookup."""
        return Extraction(self._client, options, self._progress, lookup)

    def _request_page(self, params: Params) -> JobsPage:
        page = self._client.request_page(params)
        self._progress.add_page(page)
        return page


@dataclass
class ChunkReader:
    """Read one chunk."""

    client: JobsClient
    options: ExtractOptions
    lookup: Lookup | None
    state: SourceState
    interval: Interval | None
    pool: RequestPool
    findings: list[SourceFinding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.behavior = self.state.behavior
        self.client.prefer_generation(self.behavior.endpoint)
        if self.behavior.pascal_case:
            self.client.spelling = ParameterSpelling.pascal
        behavior = self.behavior
        paging = PagingBehavior(
            self.options.page_size, largest_page=behavior.largest_page, longest_list=behavior.longest_list
        )
        self.reader = ListingReader(self.pool, paging)
        self.limits = RangeLimits(self.behavior.longest_range)
        self.scanner = WindowScanner(self.client, self.reader, self.limits, self.options)
        self.scanner.confirms_empty = is_due(self.behavior.empty_at, self.options.until)
        self.scanner.pascal_case = self.behavior.pascal_case
        self.scanner.by_location = self.behavior.by_location and bool(self.options.locations)
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

    def run(self) -> ChunkResult:
        """Return the rows and findings of the window of this load.

        Raises:
            SourceError: if nothing could be read.
        """
        if self.options.verify_since is not None:
            return self._verify(self.options.verify_since)
        window = window_plan.plan_window(self.options, self.state, self.interval)
        others = [dimension for dimension in dimensions(self.options) if dimension.name == "location"]
        scan = self.scanner.scan(window, others, self._most_is_unknown)
        scan = self._correct_for_server_clock(scan, others)
        self.behavior = self.behavior.for_endpoint(scan.listings[0].endpoint)
        jobs, known = scan.jobs, self.known_jobs(scan.ids)
        if self._refuse_other_tenant(scan, known):
            return self._empty_result(scan)
        upkeep = run_upkeep(self, scan, known)
        if upkeep.listings:
            jobs = deduplicate_latest([*scan.listings, *upkeep.listings])
            known |= self.known_jobs(set(jobs["id"].to_pylist()) - known.keys())
            jobs = self._without_other_types(jobs, upkeep.listings, scan.ids | known.keys())
        jobs = self._keep_known_values(jobs, known, [*scan.listings, *upkeep.listings])
        comparison, chunk_labels = compare(jobs, known, self.options.until), ChunkLabels(known_labels(known))
        typed = [listing for listing in upkeep.listings if listing.selection.object_type is not None]
        jobs = label_chunk(self, scan, jobs, comparison, chunk_labels, typed)
        return build_result(self, scan, upkeep, jobs, comparison, chunk_labels)

    def _without_other_types(self, jobs: pa.Table, listings: list[Listing], wanted: Collection[str]) -> pa.Table:
        """Return the jobs that are ``wanted``, or that a listing of one object type returned; all if all are loaded."""
        if self.options.loads_all_types:
            return jobs
        typed = [listing.ids for listing in listings if listing.selection.object_type is not None]
        return filter_ids(jobs, sorted(set(wanted).union(*typed)))

    def _verify(self, since: datetime) -> ChunkResult:
        """Return the result of comparing the whole history with the API's totals; the cursors stay.

        Raises:
            ConfigurationError: if the warehouse holds no job of the tenant.
            SourceError: if no further request can succeed.
        """
        if self.lookup is None:
            raise ConfigurationError("Nothing to verify: the warehouse holds no job of the tenant. Load it first.")
        upkeep = verify_history(self, self.lookup, since)
        scan = Scan(self.options.window(since), upkeep.listings)
        known = self.known_jobs(scan.ids)
        jobs = self._keep_known_values(scan.jobs, known, scan.listings)
        comparison, chunk_labels = compare(jobs, known, self.options.until), ChunkLabels(known_labels(known))
        jobs = label_chunk(self, scan, jobs, comparison, chunk_labels)
        return build_result(self, scan, upkeep, jobs, comparison, chunk_labels)

    def _most_is_unknown(self, ids: set[str]) -> bool:
        return self.lookup is None or 2 * len(self.lookup.jobs(sorted(ids))) < len(ids)

    def known_jobs(self, ids: Collection[str]) -> dict[str, KnownJob]:
        """Return the jobs with these ids that the warehouse holds."""
        return {} if self.lookup is None else {job.id: job for job in self.lookup.jobs(sorted(ids))}

    def _correct_for_server_clock(self, scan: Scan, others: Sequence[Dimension]) -> Scan:
        """Return the scan; repeat it if this machine's clock is behind, so that its window ended too early."""
        skew = checks.clock_skew(scan.listings[0].server_time, self.options.until)
        if not skew or not self.options.open_ended:
            return scan
        self.findings.append(checks.skew_finding(skew))
        self.options = self.options._replace(until=self.options.until + skew)
        self.scanner.use(self.options)
        window = window_plan.plan_window(self.options, self.state, self.interval)
        if scan.chunk_end or window.query_end <= scan.window.query_end:
            return replace(scan, window=scan.window._replace(end=min(scan.window.end, self.options.until)))
        return self.scanner.scan(window, others, self._most_is_unknown)

    def _refuse_other_tenant(self, scan: Scan, known: dict[str, KnownJob]) -> bool:
        """Report a scan without any of the warehouse's recent jobs; return whether it must not be loaded."""
        cursor = self.state.scan.cursor
        if self.is_range or self.lookup is None or not all(listing.complete for listing in scan.listings):
            return False
        if self.state.scan.chunk_end is not None:
            # A later chunk of a long range need not contain a job of an earlier chunk.
            return False
        start, end = scan.window.start + EDGE, scan.chunk_end
        if end is not None and not self.lookup.count(start, end - EDGE, self.behavior.range_filter):
            # The first chunk may end before all known jobs. The API may exclude those at its borders.
            return False
        finding = checks.another_tenant(known, scan.ids, self.lookup, scan.window, cursor)
        if finding is None or self._reject_cut_lists(scan):
            return False
        self.findings.append(finding)
        for listing in scan.audited:
            listing.complete, listing.detail = False, finding.problem
        return bool(cursor and cursor > self.options.until - checks.RETENTION) or not scan.ids

    def _reject_cut_lists(self, scan: Scan) -> bool:
        """Mark the lists that the server cut; return whether it did. The next load reads the jobs that they lack."""
        listings, start = scan.listings, scan.window.query_start
        if not any(learn_longest_list(self.reader, listing, start) for listing in listings):
            return False
        for listing in listings:
            self.reader.reject_cut_list(listing)
        return True

    def _empty_result(self, scan: Scan) -> ChunkResult:
        """Return a result without rows, which leaves the state unchanged."""
        empty = scan.jobs.slice(0, 0)
        return ChunkResult(
            scan.window, empty, self.state, listings=scan.audited, findings=self.findings, complete=False
        )

    def _keep_known_values(self, jobs: pa.Table, known: dict[str, KnownJob], listings: list[Listing]) -> pa.Table:
        """Return the jobs with known values in place of missing and unreadable ones, which are reported."""
        missing = frozenset().union(*(listing.parsed.missing_fields for listing in listings))
        unreadable = [problem for listing in listings for problem in listing.parsed.unreadable]
        self.findings += checks.missing_findings(missing, known)
        self.findings += checks.unreadable_findings(unreadable)
        for listing in listings:
            problems = listing.parsed.unreadable
            if problems and listing.detail is None:
                listing.complete, listing.error_kind = False, "bad_response"
                problem = problems[0]
                listing.detail = f"Value not readable: job {problem.job_id}, {problem.field} = {problem.value!r}."
        return checks.keep_known_values(jobs, known, missing, unreadable)
