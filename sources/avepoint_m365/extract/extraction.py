"""Extraction: one load of a tenant, from the window that is asked for to the rows that are new.

An incremental load looks first: one listing of all jobs of the window. Jobs that the warehouse holds unchanged are
neither asked for again nor written again. Only jobs that it does not know are classified. A range of which most is
unknown is read in bulk instead, by object type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.page import JobsPage
from avepoint_m365.endpoints import ParameterSpelling, Params
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract import checks, findings, window_plan
from avepoint_m365.extract.classify import OBJECT_TYPES
from avepoint_m365.extract.deduplicate import deduplicate_latest, filter_ids
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.follow import JobById
from avepoint_m365.extract.known import Comparison, KnownJob, Lookup, compare
from avepoint_m365.extract.label import Labeller, Labelling, add_bulk, dimensions, known_labels
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, ListingReader
from avepoint_m365.extract.look import Look, Looker
from avepoint_m365.extract.options import NO_LABELS, ExtractOptions, Finding, Outcome
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.progress import Progress
from avepoint_m365.extract.upkeep import Upkeep, look_after, verify
from avepoint_m365.state import ApiBehavior, SourceState, is_due

Interval = tuple[datetime, datetime]
"""Start and end (UTC) of the range that an external scheduler asks for."""


class Extraction:
    """Reads a tenant, chunk by chunk; each call of ``read`` is one chunk."""

    def __init__(
        self, client: JobsClient, options: ExtractOptions, progress: Progress, lookup: Lookup | None = None
    ) -> None:
        """``lookup`` is what the warehouse holds; without one every job counts as unknown."""
        self.options, self.lookup = options, lookup
        self._client, self._progress = client, progress

    def read(self, state: SourceState, interval: Interval | None = None) -> Outcome:
        """Return what is new in the next chunk.

        Args:
            state: What the last load remembered.
            interval: The range that an external scheduler asks for, in place of what is new.

        Raises:
            SourceError: if nothing could be read.
        """
        with RequestPool(self._ask, self._client.concurrency) as pool:
            reading = Reading(self._client, self.options, self.lookup, state, interval, pool)
            return reading.run()

    def over(self, options: ExtractOptions, lookup: Lookup | None) -> Extraction:
        """Return an extraction with other options or another lookup over the same client."""
        return Extraction(self._client, options, self._progress, lookup)

    def _ask(self, params: Params) -> JobsPage:
        page = self._client.ask(params)
        self._progress.add_page(page)
        return page


@dataclass
class Reading:
    """One chunk that is being read."""

    client: JobsClient
    options: ExtractOptions
    lookup: Lookup | None
    state: SourceState
    interval: Interval | None
    pool: RequestPool
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.behavior = self.state.behavior
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

    def run(self) -> Outcome:
        """Return what the window of this load brings."""
        if self.options.verify_since is not None:
            return self._verify(self.options.verify_since)
        window = window_plan.plan(self.options, self.state, self.interval)
        others = [one for one in dimensions(self.options) if one.name == "location"]
        look = self.looker.look(window, others, self._most_is_unknown)
        look = self._heed_the_servers_clock(look, others)
        self.behavior = self.behavior.of(look.listings[0].endpoint)
        jobs, known = look.jobs, self._known(look.ids)
        if self._is_another_tenant(look, known):
            return self._nothing(look)
        upkeep = look_after(self, look, known)
        if upkeep.listings:
            jobs = deduplicate_latest([*look.listings, *upkeep.listings])
            known |= self._known(set(jobs["id"].to_pylist()) - known.keys())
            jobs = self._without_other_types(jobs, upkeep.listings, look.ids | known.keys())
        jobs = self._keep_what_is_known(jobs, known, look.listings)
        comparison, labelling = compare(jobs, known), Labelling(known_labels(known))
        typed = [listing for listing in upkeep.listings if listing.selection.object_type is not None]
        jobs = self._label(look, jobs, comparison, labelling, typed)
        return self._outcome(look, upkeep, jobs, comparison, labelling)

    def _without_other_types(self, jobs: pa.Table, listings: list[Listing], wanted: Collection[str]) -> pa.Table:
        """Return ``jobs`` without those of object types that are not loaded."""
        if self.options.loads_all_types:
            return jobs
        named = [listing.ids for listing in listings if listing.selection.object_type is not None]
        return filter_ids(jobs, sorted(set(wanted).union(*named)))

    def _verify(self, since: datetime) -> Outcome:
        """Return what a comparison of the whole history with the API's totals brings; the cursors stay."""
        if self.lookup is None:
            raise ConfigurationError("Nothing to verify: the warehouse holds no job of the tenant. Load it first.")
        upkeep = verify(self, self.lookup, since)
        look = Look(self.options.window(since), upkeep.listings)
        known = self._known(look.ids)
        jobs = self._keep_what_is_known(look.jobs, known, look.listings)
        comparison, labelling = compare(jobs, known), Labelling(known_labels(known))
        jobs = self._label(look, jobs, comparison, labelling)
        return self._outcome(look, upkeep, jobs, comparison, labelling)

    def _most_is_unknown(self, ids: set[str]) -> bool:
        return self.lookup is None or 2 * len(self.lookup.jobs(sorted(ids))) < len(ids)

    def _known(self, ids: Collection[str]) -> dict[str, KnownJob]:
        return {} if self.lookup is None else {job.id: job for job in self.lookup.jobs(sorted(ids))}

    def _heed_the_servers_clock(self, look: Look, others: Collection[object]) -> Look:
        """Return the look, taken again if this machine's clock is so far behind that its window ended too early."""
        skew = checks.clock_skew(look.listings[0].server_time, self.options.until)
        if not skew or not self.options.open_ended:
            return look
        self.findings.append(checks.skew_finding(skew))
        self.options = replace(self.options, until=self.options.until + skew)
        self.looker.use(self.options)
        window = window_plan.plan(self.options, self.state, self.interval)
        if look.chunk_end or window.asked_end <= look.window.asked_end:
            return replace(look, window=replace(look.window, end=min(look.window.end, self.options.until)))
        return self.looker.look(window, others, self._most_is_unknown)  # type: ignore[arg-type]

    def _is_another_tenant(self, look: Look, known: dict[str, KnownJob]) -> bool:
        """Return whether the look must not be loaded, since none of the known jobs is in it."""
        cursor = self.state.look.cursor
        if self.is_range or self.lookup is None or not all(one.complete for one in look.listings):
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

    def _nothing(self, look: Look) -> Outcome:
        """Return an outcome without rows, which leaves the state as it is."""
        empty = look.jobs.slice(0, 0)
        return Outcome(look.window, empty, self.state, listings=look.audited, findings=self.findings, complete=False)

    def _keep_what_is_known(self, jobs: pa.Table, known: dict[str, KnownJob], listings: list[Listing]) -> pa.Table:
        pages = [page for listing in listings for page in listing.pages]
        missing = frozenset().union(*(page.missing_fields for page in pages))
        unreadable = [problem for page in pages for problem in page.unreadable]
        self.findings += checks.missing_findings(missing, known)
        self.findings += checks.unreadable_findings(unreadable)
        for listing in listings:
            problems = [problem for page in listing.pages for problem in page.unreadable]
            if problems and listing.detail is None:
                listing.complete, listing.error_kind = False, "bad_response"
                listing.detail = (
                    f"Value not readable: job {problems[0].job_id}, {problems[0].field} = {problems[0].value!r}."
                )
        return checks.keep_known_values(jobs, known, missing, unreadable)

    def _label(
        self,
        look: Look,
        jobs: pa.Table,
        comparison: Comparison,
        labelling: Labelling,
        typed: Sequence[Listing] = (),
    ) -> pa.Table:
        """Fill the labels of the jobs that miss one; return the jobs, with those that only a label's listing shows.

        ``typed`` are listings beside the look that name an object type.
        """
        ignored = () if is_due(self.behavior.filters_at, self.options.until) else self.behavior.ignored
        labeller = Labeller(self.reader, self.limits, self.options, ignored)
        asked = dimensions(self.options)
        if look.bulk is not None:
            add_bulk(labelling, look.bulk)
            # What the lists left out is asked for again over shorter ranges; a list of one page leaves nothing out.
            read = look.bulk.labels
            asked = [one for one in asked if any(len(page.pages) > 1 for page in read[one.name].listings)]
        elif not self.options.loads_all_types:
            labelling.label_by_looks([*look.listings, *typed])
        wanted = {*comparison.new, *(comparison.known if self._retries_labels() else ())}
        first = [one for one in asked if one.name == "location"]
        # Where nothing is known, each location is asked for the whole window: it may show what the look does not.
        labeller.label(labelling, jobs, look.window, wanted, first, whole_window=self.lookup is None)
        jobs, others = self._add_what_only_labels_show(look, labeller, jobs, comparison, labelling)
        rest = dimensions(self.options) if others else asked
        rest = [one for one in rest if one.name != "location"]
        labeller.label(labelling, jobs, look.window, wanted | others, rest, self.looker.by_location)
        jobs, _ = self._add_what_only_labels_show(look, labeller, jobs, comparison, labelling)
        labelling.ignored |= set(ignored)
        return jobs

    def _add_what_only_labels_show(
        self, look: Look, labeller: Labeller, jobs: pa.Table, comparison: Comparison, labelling: Labelling
    ) -> tuple[pa.Table, set[str]]:
        """Add jobs that the look lacks although a listing of one label shows them; return all jobs, and those ids.

        Without a location some servers show the central one alone. Jobs may also have come since the look.
        """
        seen = set(jobs["id"].to_pylist())
        elsewhere = [listing for listing in labelling.listings if listing.ids - seen]
        if not self.options.loads_all_types:
            # A listing of a job type holds the jobs of all services.
            elsewhere = [one for one in elsewhere if one.selection.job_type is None]
        if not elsewhere:
            return jobs, set()
        others = deduplicate_latest(elsewhere)
        others = others.filter(pc.invert(pc.is_in(others["id"], pa.array(list(seen), pa.string()))))
        ids = set(others["id"].to_pylist())
        if not self.options.loads_all_types:
            types = replace(OBJECT_TYPES, values=self.options.object_types)
            labeller.label(labelling, others, look.window, ids, [types], by_location=True)
            ids = {job_id for job_id in ids if labelling.of.get(job_id, NO_LABELS).object_type}
            others = filter_ids(others, sorted(ids))
        known = self._known(ids)
        added = compare(others, known)
        comparison.new += added.new
        comparison.changed += added.changed
        comparison.unchanged += added.unchanged
        comparison.changes += added.changes
        comparison.known |= known
        labelling.of |= {
            job_id: labels.filled_from(labelling.of.get(job_id, NO_LABELS))
            for job_id, labels in known_labels(known).items()
        }
        if any(listing.selection.location is not None for listing in elsewhere):
            self.looker.by_location = True
        return pa.concat_tables([jobs, others]), ids

    def _retries_labels(self) -> bool:
        """Return whether jobs that the warehouse holds without a label are classified again: once, then once a day."""
        look = self.state.look
        return (
            self.is_range
            or look.cursor is None
            or look.retry_labels
            or is_due(self.behavior.filters_at, self.options.until)
        )

    def _outcome(
        self, look: Look, upkeep: Upkeep, jobs: pa.Table, comparison: Comparison, labelling: Labelling
    ) -> Outcome:
        before = known_labels(comparison.known)
        relabelled = [
            job_id for job_id in comparison.unchanged if labelling.of.get(job_id, NO_LABELS) != before[job_id]
        ]
        written = filter_ids(jobs, [*comparison.new, *comparison.changed, *relabelled])
        listings = list({id(one): one for one in (*look.audited, *labelling.listings, *upkeep.listings)}.values())
        complete = all(listing.complete for listing in listings)
        outcome = Outcome(
            window=look.window,
            jobs=written,
            state=self.state,
            labels=labelling.of,
            first_seen={job.id: job.first_seen_at for job in comparison.known.values() if job.first_seen_at},
            new=set(comparison.new),
            unchanged=len(comparison.unchanged) - len(relabelled),
            states=dict(Counter(map(str, jobs["state"].to_pylist()))),
            listings=listings,
            changes=comparison.changes,
            reconciliations=upkeep.reconciliations,
            state_words=upkeep.words,
            chunk_end=look.chunk_end,
            complete=complete,
            in_progress=set(jobs.filter(pc.is_null(jobs["finish_time"]))["id"].to_pylist()),
        )
        unlabelled = findings.without_labels(outcome, comparison, self.options, labelling)
        outcome.findings = [
            *self.findings,
            *upkeep.findings,
            *findings.without_effect(labelling.ignored),
            *findings.outside_the_lists(outcome, comparison, self.lookup, self.options, labelling),
        ]
        behavior = self._learned(labelling, look, upkeep)
        outcome.state = window_plan.next_state(self, look, outcome, behavior, upkeep, bool(unlabelled))
        return outcome

    def _learned(self, labelling: Labelling, look: Look, upkeep: Upkeep) -> ApiBehavior:
        """Return what is known of the API after this load."""
        now = self.options.until
        behavior = upkeep.behavior or self.behavior
        behavior = replace(
            behavior,
            longest_range_days=self.limits.days,
            by_location=self.looker.by_location,
            pascal_case=self.looker.pascal_case,
        )
        if labelling.listings or look.bulk is not None:
            behavior = replace(behavior, ignored=tuple(sorted(labelling.ignored)), filters_at=now)
        if not look.jobs.num_rows and self.looker.doubts_nothing:
            behavior = replace(behavior, empty_at=now)
        return behavior
