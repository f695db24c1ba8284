"""Define what a load remembers in dlt's state of the source: cursors, chunks and detected API behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

DETECTION_TTL = timedelta(days=1)
"""API behaviour is detected again after this long, and the warehouse reconciled with the API's totals."""

State = TypeVar("State", bound="_State")


class RangeFilter(StrEnum):
    """List the times of a job that the API may compare with a range; the vendor does not say."""

    start = "start"
    finish = "finish"
    overlap = "overlap"
    contained = "contained"

    @property
    def may_hide_long_jobs(self) -> bool:
        """Return whether a job that began before a range is missing from it although it ended within."""
        return self in (RangeFilter.start, RangeFilter.contained)


@dataclass(frozen=True)
class _State:
    @classmethod
    def load(cls: type[State], stored: Mapping[str, Any] | None) -> State:
        """Return the state from dlt's state; fields of another version are ignored."""
        names = {field.name for field in fields(cls)}
        values = {name: value for name, value in (stored or {}).items() if name in names}
        return cls(**{name: cls._read(name, value) for name, value in values.items()})

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        if isinstance(value, str) and name.endswith(("_at", "_until", "_end", "_start", "cursor", "_open")):
            return datetime.fromisoformat(value)
        return tuple(value) if isinstance(value, list) else value

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values; fields with their default are left out."""
        default = type(self)()
        return {
            name: value.isoformat()
            if isinstance(value, datetime)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in asdict(self).items()
            if value != getattr(default, name)
        }


@dataclass(frozen=True)
class ApiBehavior(_State):
    """Hold what was detected about the API of one tenant. Times are UTC.

    Attributes:
        endpoint: The generation that it was detected on; it does not hold for another.
        range_filter: A value of ``RangeFilter``; None while it is unknown.
        range_filter_at: When that was detected.
        ignored: Filters without effect: ``object_type``, ``job_type``, ``location``, or one value of them such as
            ``object_type=5``.
        filters_at: When the filters were last seen to work, or not to.
        longest_range_days: The longest range that is answered in full; None if no limit is known.
        pascal_case: Whether the server reads ``StartTime`` and not ``startTime``.
        by_location: Whether the API keeps some jobs to those who name their location.
        reconciled_at: When the warehouse was last compared with the API's totals.
        words_at: When state words were last looked up, at most five requests a day.
        empty_at: When an empty answer was last confirmed.
    """

    endpoint: str = ""
    range_filter: str | None = None
    range_filter_at: datetime | None = None
    ignored: tuple[str, ...] = ()
    filters_at: datetime | None = None
    longest_range_days: float | None = None
    pascal_case: bool = False
    by_location: bool = False
    reconciled_at: datetime | None = None
    words_at: datetime | None = None
    empty_at: datetime | None = None

    @property
    def longest_range(self) -> timedelta | None:
        """Return the longest range that is answered in full."""
        return timedelta(days=self.longest_range_days) if self.longest_range_days else None

    @property
    def may_hide_long_jobs(self) -> bool:
        """Return whether a range may lack jobs that began before it; true while it is unknown."""
        return self.range_filter is None or RangeFilter(self.range_filter).may_hide_long_jobs

    @property
    def holds_contained_jobs_only(self) -> bool:
        """Return whether a range may hold only jobs that lie in it as a whole; true while the filter is unknown."""
        return self.range_filter in (None, RangeFilter.contained)

    def of(self, endpoint: str) -> ApiBehavior:
        """Return what is known of a generation of the endpoint: nothing, if another one was detected."""
        if not endpoint or self.endpoint in ("", endpoint):
            return replace(self, endpoint=endpoint or self.endpoint)
        return ApiBehavior(endpoint=endpoint)


def is_due(moment: datetime | None, now: datetime, ttl: timedelta = DETECTION_TTL) -> bool:
    """Return whether something was last done longer ago than ``ttl``, or by a clock that was ahead."""
    return moment is None or abs(now - moment) >= ttl


@dataclass(frozen=True)
class LookState(_State):
    """Hold where the next load of one scope (object types, locations) begins. Times are UTC.

    Attributes:
        cursor: The newest finish that was loaded, at most the time of the load.
        complete_until: Until when all listings were proved complete.
        history_start: Where the first load began.
        oldest_open: The start of the oldest job in progress that is followed.
        gap_start: The start of the first window that was not proved complete.
        gap_run: The load that left the gap; only another one goes back to it.
        chunk_end: Where the next chunk of a long range begins.
        began_at: When the first chunk of the range was read.
        retry_labels: Whether jobs without an object type are to be classified again by the next load.
        missing_open: Ids of jobs in progress that the API no longer shows; they are asked for once a day.
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


@dataclass(frozen=True)
class BackfillState(_State):
    """Hold how far a backfill in chunks came; a later load of the same range continues there."""

    range: str = ""
    began_at: datetime | None = None
    chunk_end: datetime | None = None
    gap_start: datetime | None = None
    gap_run: str | None = None


@dataclass(frozen=True)
class SourceState:
    """Hold all that one tenant's load remembers."""

    behavior: ApiBehavior = ApiBehavior()
    look: LookState = LookState()
    backfill: BackfillState = BackfillState()

    @classmethod
    def load(cls, stored: Mapping[str, Any], scope: str) -> SourceState:
        """Return the state of a scope from dlt's state of the source."""
        looks = stored.get("looks") or {}
        return cls(
            ApiBehavior.load(stored.get("behavior")),
            LookState.load(looks.get(scope)),
            BackfillState.load(stored.get("backfill")),
        )

    def save(self, stored: dict[str, Any], scope: str) -> None:
        """Write the state of a scope into dlt's state of the source."""
        stored["behavior"] = self.behavior.dump()
        stored.setdefault("looks", {})[scope] = self.look.dump()
        stored["backfill"] = self.backfill.dump()
