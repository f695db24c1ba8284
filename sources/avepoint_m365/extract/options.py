"""Define the settings that all parts of one load share, and the rows that a load hands over."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import pyarrow as pa

from avepoint_m365.constants import ObjectType
from avepoint_m365.extract.known import Change
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.window import Window
from avepoint_m365.plural import format_count
from avepoint_m365.state import SourceState

CLOCK_TOLERANCE = timedelta(days=1)
"""How far beyond now a load asks: clocks differ."""

BACKFILL_TTL = timedelta(days=7)
"""A backfill that broke off longer ago begins again: a range means the jobs as they are now."""


@dataclass(frozen=True)
class ExtractOptions:
    """Hold the settings of one load. Times are UTC.

    Attributes:
        tenant: Label of the rows.
        run_id: Id of the load.
        start_date: Where the first load begins.
        until: The end of the window: now, or an earlier end that was asked for. No load vouches for the future.
        open_ended: Whether ``until`` is now.
        lag: How far behind the cursor each load looks again.
        max_open: How long a job in progress is followed.
        since: The start of a backfill, which leaves the cursors alone; None for an incremental load.
        backfill_until: Tells backfills with the same start apart.
        object_types: The services to load; all of them if complete.
        locations: The configured locations; empty if the API is asked without.
        split_job_types: Whether job types are asked for.
        chunk_jobs: Jobs of one committed chunk of a long range, at most; None for no bound.
        chunk_bytes: Bytes of the answers of one chunk, at most.
        expected_outside: Kinds of jobs outside the lists that are no finding.
        verify_since: Compare the history from here on with the API's totals instead of loading what is new.
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
        """Return whether every object type is loaded, so that one look shows them all."""
        return len(self.object_types) == len(ObjectType)

    @property
    def listed_types(self) -> tuple[ObjectType, ...]:
        """Return the object types that have to be named to the API; none if all are loaded."""
        return () if self.loads_all_types else self.object_types

    @property
    def scope(self) -> str:
        """Return the name of what is asked for, under which the state is kept.

        If the configuration asks for more, the history is read again, since the new part of it was never read.
        """
        types = "all" if self.loads_all_types else [kind.name for kind in self.object_types]
        if types == "all" and not self.locations and self.split_job_types:
            return "all"
        return json.dumps([types, sorted(self.locations), self.split_job_types])

    def window(self, start: datetime, end: datetime | None = None) -> Window:
        """Return the window from ``start`` to ``end``, or to the end of the load if that is earlier.

        The end of an open load is asked for beyond now, since clocks differ. Any other end is asked for to the end of
        its day, since the API may compare no more than the day.
        """
        end = min(end or self.until, self.until)
        asked_end = end + CLOCK_TOLERANCE if self.open_ended and end == self.until else next_midnight(end)
        return Window(start.replace(microsecond=0), end, asked_end)


def next_midnight(moment: datetime) -> datetime:
    """Return the first midnight (UTC) that is not before ``moment``."""
    day = (moment + timedelta(days=1, microseconds=-1)).date()
    return datetime.combine(day, time(), tzinfo=UTC)


@dataclass(frozen=True)
class SourceFinding:
    """Describe one row of ``load_check_failures``: a problem, its number of jobs, and the id of one of them."""

    rule: str
    problem: str
    jobs: int = 0
    example: str | None = None

    def __str__(self) -> str:
        """Return the finding as one line."""
        jobs = format_count(self.jobs, "job has", "jobs have") if self.jobs else "Some jobs have"
        return f"{jobs} {self.problem} ({self.rule}){f', for instance {self.example}' if self.example else ''}."


@dataclass(frozen=True)
class Reconciliation:
    """Describe one row of ``reconciliations``. Times are UTC.

    Attributes:
        kind: load, daily, first_load or verify.
        period: Start and end of the range that was compared.
        api_total: What the API counts in the range.
        warehouse_jobs: What the warehouse holds of it.
        proof: Whether the counts agree; None if they cannot be compared.
    """

    kind: str
    period: tuple[datetime, datetime]
    api_total: int | None
    warehouse_jobs: int | None
    proof: bool | None
    detail: str | None
    checked_at: datetime
    location: str | None = None


class JobLabels(NamedTuple):
    """Hold the labels of a job, which only the request knows. A tuple, since each job's is looked up several times."""

    location: str | None = None
    object_type: str | None = None
    job_type: str | None = None

    def filled_from(self, other: JobLabels) -> JobLabels:
        """Return these labels, with those of ``other`` where one is missing."""
        return JobLabels(
            self.location or other.location, self.object_type or other.object_type, self.job_type or other.job_type
        )


NO_LABELS = JobLabels()


@dataclass
class ChunkResult:
    """Hold the rows of a chunk, and the state to keep once they are written.

    Attributes:
        jobs: New and changed jobs (``FRAME``), each once.
        labels: Labels by job id, of the jobs in ``jobs``.
        first_seen: When a changed job was seen first, by id.
        new: Ids of the jobs that the warehouse did not hold.
        unchanged: How many jobs were read that the warehouse holds as they are.
        states: How many of all jobs that were read are in each state.
        chunk_end: Where the chunk ends, if more is left for another.
        complete: Whether every listing is proved complete.
        in_progress: Ids of the jobs that have not ended.
    """

    window: Window
    jobs: pa.Table
    state: SourceState
    labels: dict[str, JobLabels] = field(default_factory=dict)
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
