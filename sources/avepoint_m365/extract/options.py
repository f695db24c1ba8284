"""Define the settings that all parts of one load share, and the result of a chunk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple, TypeAlias

import pyarrow as pa

from avepoint_m365.constants import LABELS, ObjectType
from avepoint_m365.extract.known import Change
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.window import Window
from avepoint_m365.plural import format_count
from avepoint_m365.state import SourceState

CLOCK_TOLERANCE = timedelta(days=1)
"""How far beyond now the query of a load reaches: clocks differ."""

BACKFILL_TTL = timedelta(days=7)
"""A backfill whose first chunk was read longer ago begins again: its rows would no longer be current."""


class ExtractOptions(NamedTuple):
    """Hold the settings of one load. Times are UTC.

    Attributes:
        tenant: Label of the rows.
        run_id: Id of the load.
        start_date: The start of the first load.
        until: The end of the window: now, or the earlier end that the user set.
        open_ended: Whether ``until`` is now.
        lag: How far behind the cursor each load begins.
        max_open: How long a job in progress is followed.
        since: The start of a backfill, which leaves the cursors alone; None for an incremental load.
        backfill_until: The end of a backfill as the user wrote it; tells backfills with the same start apart.
        object_types: The services to load.
        locations: The configured locations; empty if requests name no location.
        split_job_types: Whether jobs are classified by job type.
        page_size: Jobs that a request asks for on a page.
        chunk_jobs: The most jobs of one committed chunk of a long range; None for no bound.
        chunk_bytes: The most bytes of the responses of one chunk.
        expected_outside: Dimensions (location, object_type, job_type) whose jobs without a label are no finding.
        verify_since: The start (UTC) of the history that is compared with the API's totals; None for a load.
    """

    tenant: str
    run_id: str
    start_date: datetime
    until: datetime
    open_ended: bool
    lag: timedelta
    max_open: timedelta
    since: datetime | None = None
    backfill_until: str = "now"
    object_types: tuple[ObjectType, ...] = tuple(ObjectType)
    locations: tuple[str, ...] = ()
    split_job_types: bool = True
    page_size: int = 500
    chunk_jobs: int | None = None
    chunk_bytes: int = 256_000_000
    expected_outside: tuple[str, ...] = ()
    verify_since: datetime | None = None

    @property
    def loads_all_types(self) -> bool:
        """Return whether every object type is loaded, so that one listing without a type holds them all."""
        return len(self.object_types) == len(ObjectType)

    @property
    def listed_types(self) -> tuple[ObjectType, ...]:
        """Return the object types that requests must name; none if all are loaded."""
        return () if self.loads_all_types else self.object_types

    @property
    def scope(self) -> str:
        """Return the key of the state: the object types, locations and job types of the configuration.

        Another configuration has a state of its own, so that the history of a new location or type is read.
        """
        types = "all" if self.loads_all_types else [kind.name for kind in self.object_types]
        if types == "all" and not self.locations and self.split_job_types:
            return "all"
        return json.dumps([types, sorted(self.locations), self.split_job_types])

    def window(self, start: datetime, end: datetime | None = None) -> Window:
        """Return the window from ``start`` to ``end``, or to the end of the load if that is earlier.

        If the load ends now, its query ends later, since clocks differ. Any other query ends at the next midnight
        (UTC), since the API may compare days instead of times.
        """
        end = min(end or self.until, self.until)
        query_end = end + CLOCK_TOLERANCE if self.open_ended and end == self.until else next_midnight(end)
        return Window(start.replace(microsecond=0), end, query_end)


def next_midnight(moment: datetime) -> datetime:
    """Return the first midnight (UTC) that is not before ``moment``."""
    day = (moment + timedelta(days=1, microseconds=-1)).date()
    return datetime.combine(day, time(), tzinfo=UTC)


def format_finding(rule: str, problem: str, jobs: int, example: str | None) -> str:
    """Return a finding as a sentence without its full stop; ``jobs`` is 0 if they were not counted."""
    number = format_count(jobs, "job has", "jobs have") if jobs else "Some jobs have"
    return f"{number} {problem} ({rule})" + (f", for instance {example}" if example else "")


class SourceFinding(NamedTuple):
    """Describe one row of ``load_check_failures``.

    Attributes:
        rule: The name of the check.
        problem: What the jobs have, in words.
        jobs: Number of these jobs; 0 if they were not counted.
        example: The id of one of them; None if they were not counted.
    """

    rule: str
    problem: str
    jobs: int = 0
    example: str | None = None

    def __str__(self) -> str:
        """Return the finding as a sentence."""
        return f"{format_finding(self.rule, self.problem, self.jobs, self.example)}."


class Reconciliation(NamedTuple):
    """Describe one row of ``reconciliations``. Times are UTC.

    Attributes:
        kind: daily, first_load or verify.
        period: Start and end of the range that was compared.
        api_total: Jobs in the range by the API; None if it is unknown.
        warehouse_jobs: Jobs in the range in the warehouse before the comparison; None if it cannot count them.
        proof: Whether the warehouse holds all jobs afterwards; None if the counts cannot be compared.
        detail: The reason of the result in words; None if the counts agree.
        checked_at: The time of the comparison.
        location: The location that was compared; None for all.
    """

    kind: str
    period: tuple[datetime, datetime]
    api_total: int | None
    warehouse_jobs: int | None
    proof: bool | None
    detail: str | None
    checked_at: datetime
    location: str | None = None


Labels: TypeAlias = dict[str, dict[str, str]]
"""The labels of jobs: for each name of ``LABELS``, the label of each job that has one, by job id.

A load of 100,000 jobs then fills and reads them a hundred thousand at a time.
"""


def no_labels() -> Labels:
    """Return labels of no job."""
    return {name: {} for name in LABELS}


@dataclass
class ChunkResult:
    """Hold the rows of a chunk, and the state to keep once they are written.

    Attributes:
        window: The window of the chunk.
        jobs: New and changed jobs (``FRAME``), each once; their ids alone after ``keep_ids_only``.
        state: The state to keep once the rows are written.
        labels: The labels of all jobs that were read.
        first_seen: When a load first read a job that the warehouse holds (UTC), by job id.
        new: Ids of the jobs that the warehouse did not hold.
        unchanged: Number of jobs that were read and are the same in the warehouse.
        states: Number of jobs that were read, by state.
        listings: All listings of the chunk, for ``load_audit``.
        findings: Rows of ``load_check_failures``.
        changes: Rows of ``job_changes``.
        reconciliations: Rows of ``reconciliations``.
        state_words: Codes of state words that this chunk learned, by word.
        chunk_end: The end of the chunk (UTC) if further chunks follow; None for the last.
        complete: Whether every listing is proved complete.
        in_progress: Ids of the jobs that have not ended.
    """

    window: Window
    jobs: pa.Table
    state: SourceState
    labels: Labels = field(default_factory=no_labels)
    first_seen: dict[str, datetime] = field(default_factory=dict)
    new: set[str] = field(default_factory=set)
    unchanged: int = 0
    states: dict[str, int] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    reconciliations: list[Reconciliation] = field(default_factory=list)
    state_words: dict[str, int] = field(default_factory=dict)
    chunk_end: datetime | None = None
    complete: bool = True
    in_progress: set[str] = field(default_factory=set)

    @property
    def has_rows(self) -> bool:
        """Return whether jobs or learned words are to be written."""
        return bool(self.jobs.num_rows or self.state_words)

    def keep_ids_only(self) -> None:
        """Drop the jobs and keep their ids, once their rows are yielded. The destination needs the memory then."""
        self.jobs = self.jobs.select(["id"])
        for listing in self.listings:
            listing.drop_jobs()
