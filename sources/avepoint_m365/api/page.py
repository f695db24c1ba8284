"""Define a page of jobs, as the client returns it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from avepoint_m365.endpoints import EndpointVersion
from avepoint_m365.parse.outline import start_times
from avepoint_m365.parse.raw import ParsedJobs, RawJobs, parse_raw


class PageInfo(NamedTuple):
    """Describe a page without its jobs, in the same way for all generations of the endpoint."""

    ids: Sequence[str]
    """The ids of its jobs, in order."""
    total: int | None
    """The API's total, which may count all jobs of the selection or those of the page; None without one."""
    next_link: str | None
    """The link to the next page; "" if the API states that there is none, None if it sends no link."""
    errors: str = ""
    """Errors that the API reports beside these jobs. If there are any, jobs may be missing."""
    without_list: bool = False
    """Whether the response contains no list of jobs, not even an empty one: 204, or null in its place."""
    announces_more: bool = False
    """Whether a field of an unknown name announces a further page."""
    warnings: str = ""
    """Warnings of the API beside these jobs."""


class JobsPage(NamedTuple):
    """Hold a page and its jobs as they arrived; ``parse_pages`` parses many pages together, which is faster."""

    info: PageInfo
    raw: RawJobs
    endpoint: EndpointVersion
    attempts: int = 1
    """How often the request was sent."""
    server_time: datetime | None = None
    """The server's time (UTC), from the header ``Date``."""
    announced_end: str = ""
    """The day on which the API ends the endpoint, or words about it; "" if it announces none."""

    @property
    def start_times(self) -> list[str] | None:
        """Return the starts of the jobs without parsing the page; None if it has another than the documented form."""
        starts = start_times(self.raw.content) if self.raw.content else []
        return starts if starts is not None and len(starts) == len(self.info.ids) else None

    def without_jobs(self) -> JobsPage:
        """Return the page with its ids alone, once its jobs are parsed or are not needed."""
        return self._replace(raw=RawJobs())


def parse_pages(pages: Sequence[JobsPage]) -> ParsedJobs:
    """Return the jobs of many pages, in their order; a job on several pages has several rows."""
    return parse_raw([page.raw for page in pages])
