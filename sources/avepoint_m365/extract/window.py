"""Define what one listing asks for: a time range, and the filters beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from avepoint_m365.constants import JobType, ObjectType
from avepoint_m365.endpoints import Params

EDGE = timedelta(seconds=1)
"""Overlap of ranges that touch: the vendor does not say whether bounds are inclusive."""

_SECONDS = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Window:
    """Describe a time range in UTC, ends included.

    Attributes:
        start: Where the range begins.
        end: Until when the listing vouches for its jobs.
        asked_end: The end that the API is asked for; later than ``end`` because clocks differ.
        asked_start: The start that the API is asked for; earlier than ``start`` for jobs that began before it.
    """

    start: datetime
    end: datetime
    asked_end: datetime
    asked_start: datetime | None = None

    @property
    def begin(self) -> datetime:
        """Return the first moment that the API is asked for."""
        return min(self.start, self.asked_start or self.start)

    @property
    def length(self) -> timedelta:
        """Return the length of the range that the API is asked for."""
        return self.asked_end - self.begin

    def until(self, end: datetime) -> Window:
        """Return the part of the window that ends at ``end``; it vouches for no more than the window."""
        return replace(self, end=min(end, self.end), asked_end=end)

    def since(self, start: datetime) -> Window:
        """Return the part of the window that begins at ``start``."""
        return replace(self, start=start, asked_start=None)

    def halves(self) -> tuple[Window, Window]:
        """Return the two halves of the range; they share the second in the middle.

        The first does not reach past ``end``: hardly a job is there, and no listing vouches for it.
        """
        middle = self.begin + self.length / 2
        if self.end > self.begin + 2 * EDGE:
            middle = min(middle, self.end)
        middle = middle.replace(microsecond=0)
        return self.until(middle), self.since(middle - EDGE)

    def parameters(self) -> Params:
        """Return the range as query parameters, in whole seconds that hold all of it."""
        end = self.asked_end + timedelta(microseconds=999_999)
        return {"startTime": self.begin.strftime(_SECONDS), "finishTime": end.strftime(_SECONDS)}


@dataclass(frozen=True)
class Selection:
    """Describe the filters of one listing; None leaves a filter out.

    "All" is never sent as 0: on some servers 0 selects nothing.
    """

    window: Window
    location: str | None = None
    object_type: ObjectType | None = None
    job_type: JobType | None = None
    job_state: int | None = None

    def parameters(self) -> Params:
        """Return the query parameters that select the jobs."""
        params = self.window.parameters()
        codes = {"objectType": self.object_type, "jobType": self.job_type, "jobState": self.job_state}
        params |= {name: str(int(code)) for name, code in codes.items() if code is not None}
        if self.location is not None:
            params["location"] = self.location
        return params

    def over(self, window: Window) -> Selection:
        """Return the same filters over another time range."""
        return replace(self, window=window)

    def shares_no_job_with(self, other: Selection) -> bool:
        """Return True if the two listings are of different types, so that no job is in both."""
        pairs = ((self.object_type, other.object_type), (self.job_type, other.job_type))
        return any(mine is not None and yours is not None and mine != yours for mine, yours in pairs)

    def __str__(self) -> str:
        """Return the selection for messages: exchange_online, backup, in EUR."""
        names = [code.name for code in (self.object_type, self.job_type) if code is not None]
        return f"{', '.join(names) or 'all jobs'}{f' in {self.location}' if self.location else ''}"
