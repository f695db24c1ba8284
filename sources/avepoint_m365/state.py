"""Define the state that a load keeps in dlt's state of the source: cursors, chunks and detected API behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar, get_type_hints

DETECTION_TTL = timedelta(days=1)
"""After this long, API behaviour is detected again, and the warehouse is reconciled with the API's totals."""

STORED_SCANS = "looks"
"""Key of dlt's state of the source for the ``ScanState`` of each scope."""


class RangeFilter(StrEnum):
    """List the times of a job that the API may compare with a range; the vendor's reference does not say which."""

    start = "start"
    finish = "finish"
    contained = "contained"

    @property
    def may_hide_long_jobs(self) -> bool:
        """Return whether a range lacks jobs that began before it and ended within."""
        return self in (RangeFilter.start, RangeFilter.contained)


class ApiBehavior(NamedTuple):
    """Hold what was detected about the API of one tenant. Times are UTC.

    Attributes:
        endpoint: The generation of the endpoint; another one may behave differently.
        range_filter: A value of ``RangeFilter``; None while it is unknown.
        range_filter_at: When ``range_filter`` was detected.
        ignored: Values whose filter has no effect, such as ``object_type=teams``.
        included: Values whose jobs another value returns as well, such as ``object_type=teams``.
        filters_at: When the effect of the filters was last detected.
        longest_range_days: The longest range that the API answers in full; None if no limit is known.
        pascal_case: Whether the server reads the parameter ``StartTime`` and ignores ``startTime``.
        largest_page: The most jobs that the API sent on one page.
        longest_list: The most jobs that the API returns in one list; None if no such limit is known.
        total_surplus: How many more jobs each total of the API counts than exist; 0 if totals are right.
        other_totals_at: When totals were last detected to count other jobs than those listed; None if they do not.
        by_location: Whether the API returns some jobs only to requests with their location.
        reconciled_at: When the warehouse was last compared with the API's totals.
        words_at: When unknown state words were last learned.
        empty_at: When an empty response was last confirmed.
    """

    endpoint: str = ""
    range_filter: str | None = None
    range_filter_at: datetime | None = None
    ignored: tuple[str, ...] = ()
    included: tuple[str, ...] = ()
    filters_at: datetime | None = None
    longest_range_days: float | None = None
    pascal_case: bool = False
    largest_page: int = 0
    longest_list: int | None = None
    total_surplus: int = 0
    other_totals_at: datetime | None = None
    by_location: bool = False
    reconciled_at: datetime | None = None
    words_at: datetime | None = None
    empty_at: datetime | None = None

    @property
    def longest_range(self) -> timedelta | None:
        """Return the longest range that the API answers in full; None if no limit is known."""
        return timedelta(days=self.longest_range_days) if self.longest_range_days else None

    @property
    def may_hide_long_jobs(self) -> bool:
        """Return whether a range may lack jobs that began before it; true while ``range_filter`` is unknown."""
        return self.range_filter is None or RangeFilter(self.range_filter).may_hide_long_jobs

    @property
    def holds_contained_jobs_only(self) -> bool:
        """Return whether a range may hold only jobs that lie in it as a whole; true while that is unknown."""
        return self.range_filter in (None, RangeFilter.contained)

    def for_endpoint(self, endpoint: str) -> ApiBehavior:
        """Return the behaviour of a generation of the endpoint: all unknown if this one is of another generation."""
        if not endpoint or self.endpoint in ("", endpoint):
            return self._replace(endpoint=endpoint or self.endpoint)
        return ApiBehavior(endpoint=endpoint)


def is_due(moment: datetime | None, now: datetime, ttl: timedelta = DETECTION_TTL) -> bool:
    """Return whether ``moment`` (UTC) is missing, or is ``ttl`` or more away from ``now``.

    A time in the future comes from a clock that was ahead.
    """
    return moment is None or abs(now - moment) >= ttl


class ScanState(NamedTuple):
    """Hold where the next load of one scope (object types, locations) begins. Times are UTC.

    Attributes:
        cursor: The newest finish that was loaded, at most the time of the load; None before the first job.
        complete_until: The time up to which all listings were proved complete.
        history_start: The start of the first load.
        oldest_open: The start of the oldest job in progress that is followed.
        gap_start: The start of the first window that was not proved complete.
        gap_run: The id of the load that left the gap; only another load returns to it.
        chunk_end: The end of the last chunk of a long range, where the next one begins; None without one.
        began_at: When the first chunk of the range was read.
        retry_labels: Whether the next load classifies jobs without a label again.
        missing_open: Ids of jobs in progress that the API no longer returns; they are requested once a day.
    """

    cursor: datetime | None = None
    complete_until: datetime | None = None
    history_start: datetime | None = None
    oldest_open: datetime | None = None
    gap_start: datetime | None = None
    gap_run: str | None = None
    chunk_end: datetime | None = None
    began_at: datetime | None = None
    retry_labels: bool = False
    missing_open: tuple[str, ...] = ()


class BackfillState(NamedTuple):
    """Hold the progress of a backfill in chunks; a later load of the same range continues there. Times are UTC.

    Attributes:
        range: Start and end of the range; another range begins anew.
        began_at: When the first chunk was read.
        chunk_end: The end of the last chunk, where the next one begins; None without one.
        gap_start: The start of the first chunk that was not proved complete.
        gap_run: The id of the load that left the gap; only another load returns to it.
    """

    range: str = ""
    began_at: datetime | None = None
    chunk_end: datetime | None = None
    gap_start: datetime | None = None
    gap_run: str | None = None


State = TypeVar("State", ApiBehavior, ScanState, BackfillState)

TIMES: dict[type, frozenset[str]] = {
    kind: frozenset(name for name, hint in get_type_hints(kind).items() if hint == datetime | None)
    for kind in (ApiBehavior, ScanState, BackfillState)
}
"""The fields of each state that are times, which JSON holds as texts."""


def load_state(kind: type[State], stored: object) -> State:
    """Return a state from JSON values; unknown fields, as of a newer version, are ignored."""
    values = {name: value for name, value in _fields(stored).items() if name in kind._fields}
    return kind(**{name: _read(value, is_time=name in TIMES[kind]) for name, value in values.items()})


def dump_state(state: ApiBehavior | ScanState | BackfillState) -> dict[str, object]:
    """Return a state as JSON values, without fields that have their default."""
    defaults = state._field_defaults
    return {name: _write(value) for name, value in state._asdict().items() if value != defaults[name]}


def _fields(stored: object) -> dict[str, object]:
    """Return an object of dlt's state; an empty one if the state lacks it."""
    return stored if isinstance(stored, dict) else {}


def _read(value: Any, is_time: bool) -> Any:
    if isinstance(value, str) and is_time:
        return datetime.fromisoformat(value)
    return tuple(value) if isinstance(value, list) else value


def _write(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


class SourceState(NamedTuple):
    """Hold the state of one tenant and scope."""

    behavior: ApiBehavior = ApiBehavior()
    scan: ScanState = ScanState()
    backfill: BackfillState = BackfillState()

    @classmethod
    def load(cls, stored: Mapping[str, object], scope: str) -> SourceState:
        """Return the state of a scope from dlt's state of the source."""
        return cls(
            load_state(ApiBehavior, stored.get("behavior")),
            load_state(ScanState, _fields(stored.get(STORED_SCANS)).get(scope)),
            load_state(BackfillState, stored.get("backfill")),
        )

    def save(self, stored: dict[str, object], scope: str) -> None:
        """Write the state of a scope into dlt's state of the source."""
        stored["behavior"] = dump_state(self.behavior)
        stored[STORED_SCANS] = {**_fields(stored.get(STORED_SCANS)), scope: dump_state(self.scan)}
        stored["backfill"] = dump_state(self.backfill)
