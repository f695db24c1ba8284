"""What dlt sees: a resource for each partition, with its own cursor, that yields Arrow tables for four tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract import DltResource

from avepoint_m365 import rows, schema
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract.extraction import Reading
from avepoint_m365.extract.listing import Partition, PartitionResult, Window
from avepoint_m365.parse.times import in_utc
from avepoint_m365.parse.values import TIME
from avepoint_m365.settings import ObjectType

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(days=1)
"""How far beyond now a load asks: clocks differ."""


BELIEVED_FOR = timedelta(days=1)
"""How long what was found out about the API is believed without another look: no longer than the usual lag, within
which the next load makes up for what a wrong belief hid."""

GOES_ON_FOR = timedelta(days=7)
"""How long after its begin a backfill that broke off goes on where it was. Later it begins again: who asks for a range
means it as it is now."""

EDGE = timedelta(seconds=1)
"""How much windows that touch overlap: whether the API's bounds are inclusive is not documented."""


@dataclass(frozen=True)
class Terms:
    """What all partitions of a load go by. Times are UTC."""

    tenant: str
    run_id: str
    start_date: datetime
    until: datetime
    """The end of the window: now, or what was asked for if that is earlier. Nobody can vouch for what is to come."""
    open_ended: bool
    """Whether ``until`` is now."""
    lag: timedelta
    max_open: timedelta
    keep_unknown_fields: bool
    since: datetime | None = None
    """The start of a backfill, which leaves cursors alone."""
    backfill_until: str = "now"
    """Tells backfills with the same start apart."""

    def window(self, start: datetime, end: datetime | None = None) -> Window:
        """From ``start`` to ``end``, or to the end of the load if that is earlier, which asks beyond now since clocks
        differ. Any other end is asked for to the end of its day: the API may look at no more than the day."""
        end = min(end or self.until, self.until)
        asked_end = end + CLOCK_TOLERANCE if self.open_ended and end == self.until else _midnight(end)
        return Window(start.replace(microsecond=0), end, asked_end)


def _midnight(moment: datetime) -> datetime:
    """The first midnight (UTC) that is not before ``moment``."""
    return (moment + timedelta(days=1, microseconds=-1)).replace(hour=0, minute=0, second=0, microsecond=0)


class Slices:
    """Where a partition is within a long range that is loaded in slices; kept in its state.

    A slice that could not be proved complete does not hold up those after it: they are loaded as well, and the next
    load begins again with the one that fell short.
    """

    def __init__(self, state: dict[str, Any], run_id: str) -> None:
        self._state, self._run_id = state, run_id

    def begin(self) -> datetime | None:
        """Where this load has to go on, if there is such a place."""
        if "short_from" in self._state and self._state.get("slice_run") != self._run_id:
            self._state.pop("slice_end", None)
            return datetime.fromisoformat(self._state.pop("short_from"))
        slice_end = self._state.get("slice_end")
        return datetime.fromisoformat(slice_end) - EDGE if slice_end else None

    def passed(self, result: PartitionResult, cut_at: datetime | None, now: datetime) -> datetime:
        """Takes note that a slice was read at ``now``, which ends at ``cut_at`` (None: the last); the time up to which
        all slices are known.

        What changes between the first slice and the last, which may be a load of another day, is not in all of them.
        """
        if not result.complete:
            begun = result.partition.window.start.isoformat()
            self._state["short_from"] = min(self._state.get("short_from", begun), begun)
        self._state["slice_run"] = self._run_id
        if cut_at is None:
            self._state.pop("slice_end", None)
            began = self._state.pop("began", None)
        else:
            self._state["slice_end"] = cut_at.isoformat()
            began = self._state.setdefault("began", now.isoformat())
        return datetime.fromisoformat(began) - CLOCK_TOLERANCE if began else now


class Resources:
    """Makes the resources of one load; they share how partitions are read."""

    def __init__(self, terms: Terms, reading: Reading) -> None:
        self._terms, self._reading = terms, reading

    def partition(self, location: str | None, object_type: ObjectType) -> DltResource:
        """The resource of one partition: incremental on finish_time, or plain for a backfill."""
        name = f"jobs_{location.lower() if location else 'all'}_{object_type.name}"
        if self._terms.since is not None:
            return dlt.resource(self._range(location, object_type, self._terms.since), name=name)
        cursor: Any = dlt.sources.incremental(
            schema.CURSOR,
            initial_value=self._terms.start_date,
            primary_key=(),
            on_cursor_value_missing="include",
        )

        def jobs(finish_time: Any = cursor) -> Iterator[Any]:
            return self._incremental(location, object_type, finish_time)

        return dlt.resource(jobs, name=name)

    def _incremental(self, location: str | None, object_type: ObjectType, cursor: Any) -> Iterator[Any]:
        state, shared = dlt.current.resource_state(), dlt.current.source_state()
        # In a pipeline of one's own these are whatever its hints say; the API is asked in UTC.
        start = in_utc(cursor.start_value)
        if cursor.end_value:
            # An external scheduler says what to load; what of it is loaded is its business as well.
            end = in_utc(cursor.end_value)
            if not start <= end or start >= self._terms.until:
                raise ConfigurationError(
                    f"The scheduler's interval, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, leaves nothing to "
                    f"load at {self._terms.until:%Y-%m-%d %H:%M} UTC. Look at DLT_INTERVAL_START and DLT_INTERVAL_END, "
                    "or at what sets the interval of this run."
                )
            cursor.advance(None)
            yield from self._range(location, object_type, start, end)
            return
        partition = Partition(location, object_type, self._window(start, state, shared))
        self._reading.overlapping |= bool(shared.get("partitions_overlap"))
        self._reading.find_out |= self._is_to_be_found_out("range_is_of_whole_jobs", shared)
        self._reading.find_out_types |= self._is_to_be_found_out("job_types_are_told", shared)
        self._reading.ask(partition)
        # dlt takes turns between resources: all have asked before the first comes back here.
        yield None
        result = self._reading.result(partition)
        if result is None:
            return
        known_until = self._slices(state).passed(result, self._reading.cut_at, self._terms.until)
        proved = "short_from" not in state
        # No row of the window is dropped by its cursor, as dlt's incremental would do by itself: late and changed jobs
        # lie behind it.
        cursor.advance(max(start, min(self._newest_finish(result, start), known_until)) if proved else None)
        yield from self._rows()
        self._learn(shared)
        if proved:
            self._remember(result, state)

    def _newest_finish(self, result: PartitionResult, cursor: datetime) -> datetime:
        """Where the cursor moves to. A finish in the future does not count: it would freeze the cursor there."""
        latest = pa.scalar(self._terms.until, TIME)
        finished = result.jobs["finish_time"]
        newest: datetime | None = pc.max(finished.filter(pc.less_equal(finished, latest))).as_py()
        return newest.astimezone(UTC) if newest else cursor

    def _range(
        self, location: str | None, object_type: ObjectType, since: datetime, until: datetime | None = None
    ) -> Iterator[Any]:
        """What lies in a range, to the end of the load where ``until`` is unset; leaves cursors alone."""
        state, shared = dlt.current.resource_state(), dlt.current.source_state()
        self._reading.find_out_for_slices |= self._is_to_be_found_out("range_is_of_whole_jobs", shared)
        self._reading.find_out_types |= self._is_to_be_found_out("job_types_are_told", shared)
        span = f"{since.isoformat()}/{until.isoformat() if until else self._terms.backfill_until}"
        earlier = state.get("backfill", {})
        began = earlier.get("began")
        stale = began and self._terms.until - datetime.fromisoformat(began) >= GOES_ON_FOR
        if earlier.get("range") != span or stale:
            state["backfill"] = {"range": span}
        slices = self._slices(state["backfill"])
        reached = slices.begin()
        window = self._going_on(reached, since, shared, until) if reached else self._terms.window(since, until)
        partition = Partition(location, object_type, window)
        self._reading.ask(partition)
        yield None
        result = self._reading.result(partition)
        if result is None:
            return
        slices.passed(result, self._reading.cut_at, self._terms.until)
        yield from self._rows()
        self._learn(shared)
        if self._reading.cut_at is None:
            del state["backfill"]

    def _slices(self, state: dict[str, Any]) -> Slices:
        return Slices(state, self._terms.run_id)

    def _window(self, cursor: datetime, state: dict[str, Any], shared: dict[str, Any]) -> Window:
        """Where the slices of a long range go on, else from the lag behind the cursor, and back to the oldest open
        job."""
        if reached := self._slices(state).begin():
            return self._going_on(reached, self._terms.start_date, shared)
        return self._terms.window(self._window_start(cursor, state, shared))

    def _going_on(
        self, reached: datetime, begin: datetime, shared: dict[str, Any], until: datetime | None = None
    ) -> Window:
        """The window of slices after the first, of a range that begins at ``begin``.

        Where a range holds jobs only that lie in it as a whole (or as long as we do not know), one that went on past
        the end of the slice before is in neither: then it is asked for from ``max_open`` earlier.
        """
        window = self._terms.window(reached, until)
        if not shared.get("range_is_of_whole_jobs", True):
            return window
        return replace(window, asked_start=max(reached - self._terms.max_open, begin))

    def _window_start(self, cursor: datetime, state: dict[str, Any], shared: dict[str, Any]) -> datetime:
        """Where the window begins that is no slice: the lag behind the cursor, and back to the oldest open job.

        Where the API compares the range with the start of jobs (or as long as we do not know), a job that shows up
        late may have started long before its finish: then the window reaches back by ``max_open`` as well.
        """
        if cursor <= self._terms.start_date:
            empty_until = state.get("empty_until")
            # A clock that was ahead vouched for a time that nobody had seen.
            if not empty_until or datetime.fromisoformat(empty_until) > self._terms.until:
                return self._terms.start_date
            cursor = datetime.fromisoformat(empty_until) - CLOCK_TOLERANCE
        lag = self._terms.lag
        if shared.get("range_is_of_starts", True):
            lag += self._terms.max_open
        start = max(cursor - lag - EDGE, self._terms.start_date)
        oldest_open = state.get("oldest_open")
        return min(start, datetime.fromisoformat(oldest_open) - EDGE) if oldest_open else start

    def _is_to_be_found_out(self, fact: str, shared: dict[str, Any]) -> bool:
        """Whether something about the API is not known, or was seen too long ago (or by a clock that was ahead)."""
        seen_at = shared.get("learnt_at", {}).get(fact)
        return not seen_at or abs(self._terms.until - datetime.fromisoformat(seen_at)) >= BELIEVED_FOR

    def _learn(self, shared: dict[str, Any]) -> None:
        """Keeps what this load found out about the API. What one generation of its endpoint means does not hold for the
        other: after a change, windows are as wide as if nothing was known."""
        if shared.setdefault("learnt_of", self._reading.endpoint) != self._reading.endpoint:
            for known in ("job_types_are_told", "range_is_of_starts", "range_is_of_whole_jobs", "learnt_at"):
                shared.pop(known, None)
            shared["learnt_of"] = self._reading.endpoint
        if self._reading.overlapping:
            shared["partitions_overlap"] = True
        learnt_at = shared.setdefault("learnt_at", {})
        if self._reading.types_are_told:
            shared["job_types_are_told"] = True
            learnt_at["job_types_are_told"] = self._terms.until.isoformat()
        if self._reading.range_is_of_starts is not None:
            shared["range_is_of_starts"] = self._reading.range_is_of_starts
            shared["range_is_of_whole_jobs"] = self._reading.range_is_of_whole_jobs
            learnt_at["range_is_of_whole_jobs"] = self._terms.until.isoformat()

    def _remember(self, result: PartitionResult, state: dict[str, Any]) -> None:
        """Keeps where the next window of a partition begins, beside the cursor."""
        oldest_open = self._oldest_open(result)
        if state.pop("later_slices", False):
            # Earlier slices may hold open jobs that this one does not.
            oldest_open = min(filter(None, (oldest_open, state.get("oldest_open"))), default=None)
        state["oldest_open"] = oldest_open
        state["empty_until"] = result.partition.window.end.isoformat()
        if self._reading.cut_at:
            state["later_slices"] = True

    def _oldest_open(self, result: PartitionResult) -> str | None:
        """The start of the oldest job that is still followed; jobs open for longer are given up, with a word."""
        earliest = pa.scalar(self._terms.until - self._terms.max_open, TIME)
        open_jobs = result.jobs.filter(pc.is_null(result.jobs["finish_time"]))
        given_up = open_jobs.filter(pc.less(open_jobs["start_time"], earliest))
        if given_up.num_rows:
            logger.warning(
                f"{given_up.num_rows} jobs of {result.partition} have been in progress for more than "
                f"{self._terms.max_open.days} days (max_open_days) and are no longer followed, for instance "
                f"{given_up['id'][0]}. They stay in the warehouse as they were last seen."
            )
        followed = open_jobs.filter(pc.greater_equal(open_jobs["start_time"], earliest))
        oldest: datetime | None = pc.min(followed["start_time"]).as_py()
        return oldest.isoformat() if oldest else None

    def _rows(self) -> Iterator[Any]:
        """The rows of all partitions, from the resource that comes back first: dlt takes as long for a table of ten
        rows as for one of thousands, and twelve times as many were a tenth of a load with nothing new."""
        if results := self._reading.take():
            for hints, table in self._tables(results):
                yield dlt.mark.with_hints(table, hints, create_table_variant=True)

    def _tables(self, results: list[PartitionResult]) -> Iterator[tuple[Any, pa.Table]]:
        tenant, now = self._terms.tenant, datetime.now(UTC)
        jobs = schema.JOBS_WITH_UNKNOWN if self._terms.keep_unknown_fields else schema.JOBS
        # Of partitions without a job a single one is enough to create the tables.
        filled = [one for one in results if one.jobs.num_rows] or results[:1]
        yield jobs.resource_hints, pa.concat_tables(rows.job_rows(one, tenant, now, jobs.arrow) for one in filled)
        yield schema.BACKUP_DETAILS.resource_hints, pa.concat_tables(rows.detail_rows(one, tenant) for one in filled)
        yield schema.JOB_ERRORS.resource_hints, pa.concat_tables(rows.error_rows(one, tenant) for one in filled)
        audit = (rows.audit_rows(one, tenant, self._terms.run_id) for one in results)
        yield schema.LOAD_AUDIT.resource_hints, pa.concat_tables(audit)
        yield from _tables_not_created_yet()


def _tables_not_created_yet() -> Iterator[tuple[Any, pa.Table]]:
    """Yield an empty table for each table that most loads write nothing to, unless it exists: views read it."""
    known = dlt.current.source_schema().tables
    for table in (schema.JOB_CHANGES, schema.STATE_WORDS, schema.RECONCILIATIONS):
        if table.name not in known:
            yield table.resource_hints, table.arrow.empty_table()
