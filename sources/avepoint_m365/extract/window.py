"""Define the query of one listing: a time range and the filters beside it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from avepoint_m365.constants import JobType, ObjectType
from avepoint_m365.endpoints import Params

DAY = timedelta(days=1)
EDGE = timedelta(seconds=1)
"""Overlap of ranges that touch: the vendor does not say whether bounds are inclusive."""

Interval = tuple[datetime, datetime]
"""Start and end (UTC) of the range that an external scheduler asks for."""

SECONDS = "%Y-%m-%dT%H:%M:%SZ"
"""The form of times in requests (UTC); as texts they have the order of the times."""


class Window(NamedTuple):
    """Describe a time range in UTC, ends included, and the wider range that is sent to the API.

    Attributes:
        start: The beginning of the range.
        end: The time up to which a listing of the range is proof of its jobs.
        query_end: The end that is sent to the API; later than ``end``, since clocks differ.
        extended_start: A start before ``start`` that is sent to the API, for jobs that began earlier; None for none.
    """

    start: datetime
    end: datetime
    query_end: datetime
    extended_start: datetime | None = None

    @classmethod
    def exact(cls, start: datetime, end: datetime) -> Window:
        """Return the window of a range that ends where its query ends."""
        return cls(start, end, end)

    @property
    def query_start(self) -> datetime:
        """Return the start that is sent to the API."""
        return min(self.start, self.extended_start or self.start)

    @property
    def length(self) -> timedelta:
        """Return the length of the range that is sent to the API."""
        return self.query_end - self.query_start

    def until(self, end: datetime) -> Window:
        """Return the window with ``end`` as the end that is sent; its own end becomes no later by this."""
        return self._replace(end=min(end, self.end), query_end=end)

    def since(self, start: datetime) -> Window:
        """Return the part of the window that begins at ``start``."""
        return self._replace(start=start, extended_start=None)

    def halves(self) -> tuple[Window, Window]:
        """Return the two halves of the range; they share the second in the middle.

        The first half does not reach beyond ``end``: that part lies in the future, and has hardly any jobs.
        """
        middle = self.query_start + self.length / 2
        if self.end > self.query_start + 2 * EDGE:
            middle = min(middle, self.end)
        middle = middle.replace(microsecond=0)
        return self.until(middle), self.since(middle - EDGE)

    def parameters(self) -> Params:
        """Return the range as query parameters, rounded outwards to whole seconds."""
        end = self.query_end + timedelta(microseconds=999_999)
        return {"startTime": self.query_start.strftime(SECONDS), "finishTime": end.strftime(SECONDS)}


class Selection(NamedTuple):
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
        return self._replace(window=window)

    def shares_no_job_with(self, other: Selection) -> bool:
        """Return True if the two listings are of different types, so that no job is in both."""
        pairs = ((self.object_type, other.object_type), (self.job_type, other.job_type))
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)

    def __str__(self) -> str:
        """Return the selection for messages: exchange_online, backup, in EUR."""
        names = [code.name for code in (self.object_type, self.job_type) if code is not None]
        place = f" in {self.location}" if self.location else ""
        return f"{', '.join(names) or 'all jobs'}{place}"
