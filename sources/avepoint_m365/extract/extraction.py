"""Extract one load of a tenant, from the requested window to the rows that are new.

An incremental load looks first: one listing of all jobs of the window. Jobs that the warehouse holds unchanged are
neither asked for again nor written again. Only jobs that it does not know are classified. If most of a range is
unknown, it is read in bulk instead, by object type.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.page import JobsPage
from avepoint_m365.endpoints import ParameterSpelling, Params
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract import checks, window_plan
from avepoint_m365.extract.chunk_labels import label
from avepoint_m365.extract.classify import Dimension
from avepoint_m365.extract.deduplicate import deduplicate_latest, filter_ids
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.follow import JobById
from avepoint_m365.extract.known import KnownJob, Lookup, compare
from avepoint_m365.extract.label import Labelling, dimensions, known_labels
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, ListingReader
from avepoint_m365.extract.look import Look, Looker
from avepoint_m365.extract.options import ChunkResult, ExtractOptions, SourceFinding
from avepoint_m365.extract.outcome import build_outcome
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.progress import Progress
from avepoint_m365.extract.upkeep import look_after, verify_history
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
        """Return what is new in the next chunk.

        Args:
            state: What the last load remembered.
            interval: The range that an external scheduler asks for, in place of what is new.

        Raises:
            SourceError: if nothing could be read.
        """
        with RequestPool(self._ask, self._client.concurrency) as pool:
            return ChunkReader(self._client, self.options, self.lookup, state, interval, pool).run()

    def over(self, options: ExtractOptions, lookup: Lookup | None) -> Extraction:
        """Return an extraction with other options or another lookup over the same client."""
        return Extraction(self._client, options, self._progress, lookup)

    def _ask(self, params: Params) -> JobsPage:
        page = self._client.ask(params)
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
        self.reader = ListingReader(self.pool, PagingBehavior(self.options.page_size))
        self.limits = RangeLimits(self.behavior.longest_range)
        self.looker = Looker(self.client, self.reader, self.limits, self.options)
        self.looker.doubts_nothing = is_due(self.behavior.empty_at, self.options.until)
        self.looker.pascal_case = self.behavior.pascal_case
        self.looker.by_location = self.behavior.by_location and bool(self.options.locations)
        if self.lookup is not None and self.lookup.is_empty():
            self.lookup = None

    @property
    def job_by_id(self) -> JobById | None:
        """Return what asks for a single job, if the endpoint can."""
        return self.client.job_by_id if self.client.has_single_jobs else None

    @property
    def is_range(self) -> bool:
        """Return whether a range is read that leaves the cursors alone."""
        return self.options.since is not None or self.interval is not None or self.options.verify_since is not None

    def run(self) -> ChunkResult:
        """Return the rows and findings of the window of this load."""
        if self.options.verify_since is not None:
            return self._verify(self.options.verify_since)
        window = window_plan.plan_window(self.options, self.state, self.interval)
        others = [dimension for dimension in dimensions(self.options) if dimension.name == "location"]
        look = self.looker.look(window, others, self._most_is_unknown)
        look = self._heed_the_servers_clock(look, others)
        self.behavior = self.behavior.of(look.listings[0].endpoint)
        jobs, known = look.jobs, self.known_jobs(look.ids)
        if self._is_another_tenant(look, known):
            return self._nothing(look)
        upkeep = look_after(self, look, known)
        if upkeep.listings:
            jobs = deduplicate_latest([*look.listings, *upkeep.listings])
            known |= self.known_jobs(set(jobs["id"].to_pylist()) - known.keys())
            jobs = self._without_other_types(jobs, upkeep.listings, look.ids | known.keys())
        jobs = self._keep_what_is_known(jobs, known, look.listings)
        comparison, labelling = compare(jobs, known), Labelling(known_labels(known))
        typed = [listing for listing in upkeep.listings if listing.selection.object_type is not None]
        jobs = label(self, look, jobs, comparison, labelling, typed)
        return build_outcome(self, look, upkeep, jobs, comparison, labelling)

    def _without_other_types(self, jobs: pa.Table, listings: list[Listing], wanted: Collection[str]) -> pa.Table:
        """Return ``jobs`` without those of object types that are not loaded."""
        if self.options.loads_all_types:
            return jobs
        named = [listing.ids for listing in listings if listing.selection.object_type is not None]
        return filter_ids(jobs, sorted(set(wanted).union(*named)))

    def _verify(self, since: datetime) -> ChunkResult:
        """Return the result of comparing the whole history with the API's totals; the cursors stay."""
        if self.lookup is None:
            raise ConfigurationError("Nothing to verify: the warehouse holds no job of the tenant. Load it first.")
        upkeep = verify_history(self, self.lookup, since)
        look = Look(self.options.window(since), upkeep.listings)
        known = self.known_jobs(look.ids)
        jobs = self._keep_what_is_known(look.jobs, known, look.listings)
        comparison, labelling = compare(jobs, known), Labelling(known_labels(known))
        jobs = label(self, look, jobs, comparison, labelling)
        return build_outcome(self, look, upkeep, jobs, comparison, labelling)

    def _most_is_unknown(self, ids: set[str]) -> bool:
        return self.lookup is None or 2 * len(self.lookup.jobs(sorted(ids))) < len(ids)

    def known_jobs(self, ids: Collection[str]) -> dict[str, KnownJob]:
        """Return the jobs with these ids that the warehouse holds."""
        return {} if self.lookup is None else {job.id: job for job in self.lookup.jobs(sorted(ids))}

    def _heed_the_servers_clock(self, look: Look, others: Sequence[Dimension]) -> Look:
        """Return the look, taken again if this machine's clock is so far behind that its window ended too early."""
        skew = checks.clock_skew(look.listings[0].server_time, self.options.until)
        if not skew or not self.options.open_ended:
            return look
        self.findings.append(checks.skew_finding(skew))
        self.options = replace(self.options, until=self.options.until + skew)
        self.looker.use(self.options)
        window = window_plan.plan_window(self.options, self.state, self.interval)
        if look.chunk_end or window.asked_end <= look.window.asked_end:
            return replace(look, window=replace(look.window, end=min(look.window.end, self.options.until)))
        return self.looker.look(window, others, self._most_is_unknown)

    def _is_another_tenant(self, look: Look, known: dict[str, KnownJob]) -> bool:
        """Return whether the look must not be loaded, since none of the known jobs is in it."""
        cursor = self.state.look.cursor
        if self.is_range or self.lookup is None or not all(listing.complete for listing in look.listings):
            return False
        if self.state.look.chunk_end is not None:
            # A later chunk of a long range need not show a job of an earlier one.
            return False
        finding = checks.another_tenant(known, look.ids, self.lookup, look.window, cursor)
        if finding is None:
            return False
        self.findings.append(finding)
        for listing in look.audited:
            listing.complete, listing.detail = False, finding.problem
        return bool(cursor and cursor > self.options.until - checks.RETENTION) or not look.ids

    def _nothing(self, look: Look) -> ChunkResult:
        """Return a result without rows, which leaves the state unchanged."""
        empty = look.jobs.slice(0, 0)
        return ChunkResult(
            look.window, empty, self.state, listings=look.audited, findings=self.findings, complete=False
        )

    def _keep_what_is_known(self, jobs: pa.Table, known: dict[str, KnownJob], listings: list[Listing]) -> pa.Table:
        missing = frozenset().union(*(listing.parsed.missing_fields for listing in listings))
        unreadable = [problem for listing in listings for problem in listing.parsed.unreadable]
        self.findings += checks.missing_findings(missing, known)
        self.findings += checks.unreadable_findings(unreadable)
        for listing in listings:
            problems = listing.parsed.unreadable
            if problems and listing.detail is None:
                listing.complete, listing.error_kind = False, "bad_response"
                listing.detail = (
                    f"Value not readable: job {problems[0].job_id}, {problems[0].field} = {problems[0].value!r}."
                )
        return checks.keep_known_values(jobs, known, missing, unreadable)
