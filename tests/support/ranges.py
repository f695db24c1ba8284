"""Simulate a server in this process that returns the jobs of a time range, and may hide some without a word."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from avepoint_m365.api.page import JobsPage
from avepoint_m365.endpoints import Params
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.pool import RequestPool, Result

from tests.support.pages import jobs_page

Range = tuple[datetime, datetime]


@dataclass(frozen=True)
class TimedJob:
    """Describe a job by its times, and by the filters that return it, such as ``jobType`` "1"."""

    id: str
    start: datetime
    finish: datetime | None
    filters: tuple[tuple[str, str], ...] = ()

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Return whether the job ran in a range."""
        return self.start <= end and (self.finish is None or self.finish >= start)


def every_twelve_hours(first: datetime, days: int, **filters: str) -> list[TimedJob]:
    """Return jobs of an hour each, two a day."""
    starts = [first + timedelta(hours=12 * number) for number in range(2 * days)]
    return [
        TimedJob(f"{start:%m-%d %H}", start, start + timedelta(hours=1), tuple(filters.items())) for start in starts
    ]


class InTurn(RequestPool):
    """Send requests and read listings one after the other, so that tests can compare the requests."""

    def request_all(self, requests: Sequence[Params]) -> list[JobsPage]:
        return [self._request_page(params) for params in requests]

    def run_parallel(self, listings: Sequence[Callable[[], Result]]) -> list[Result]:
        return [read() for read in listings]


@dataclass
class RangeServer:
    """Return the jobs of a range, usually with the newest start first.

    Attributes:
        jobs: All jobs.
        most: The most jobs on a page.
        shorten: Returns the range that the server really answers.
        longest_list: The most jobs of a list; older ones are missing.
        ignores: Filters without effect, such as ("jobType", "2").
        matches: Compares a job with the start and the end of a range.
        counts_all: Whether the total of each page is that of its list.
        oldest_first: Whether lists begin with the oldest start.
        asked: The parameters of all requests.
    """

    jobs: Sequence[TimedJob]
    most: int = 500
    shorten: Callable[[datetime, datetime], Range] = field(default=lambda start, end: (start, end))
    longest_list: int | None = None
    ignores: Iterable[tuple[str, str]] = ()
    matches: Callable[[TimedJob, datetime, datetime], bool] = TimedJob.overlaps
    counts_all: bool = False
    oldest_first: bool = False
    asked: list[Params] = field(default_factory=list)

    def matching(self, params: Params) -> list[TimedJob]:
        """Return the jobs of the list that a request asks for."""
        start, end = self.shorten(*range_of(params))
        names = ("location", "objectType", "jobType")
        wanted = {(name, params[name]) for name in names if name in params} - set(self.ignores)
        jobs = [job for job in self.jobs if self.matches(job, start, end) and wanted <= set(job.filters)]
        newest = sorted(jobs, key=lambda job: job.start, reverse=True)[: self.longest_list]
        return newest[::-1] if self.oldest_first else newest

    def row(self, job: TimedJob) -> dict[str, str | None]:
        """Return a job as the API sends it."""
        finish = job.finish.isoformat() if job.finish else None
        state = "Finished" if finish else "In Progress"
        return {"id": job.id, "state": state, "startTime": job.start.isoformat(), "finishTime": finish}

    def answer(self, params: Params) -> JobsPage:
        """Return one page of a list."""
        self.asked.append(params)
        assert len(self.asked) < 1000, "it does not end"
        jobs, size = self.matching(params), min(self.most, int(params["pageSize"]))
        index = int(params.get("pageIndex", 0))
        rows = [self.row(job) for job in jobs[index * size :][:size]]
        more = (index + 1) * size < len(jobs)
        return jobs_page(
            rows, len(jobs if self.counts_all else rows), f"?pageIndex={index + 1}&pageSize={size}" if more else ""
        )

    def reader(self, page_size: int = 500) -> ListingReader:
        """Return a reader that sends its requests to this server, one at a time."""

        return ListingReader(InTurn(self.answer, 2), PagingBehavior(page_size))


def range_of(params: Params) -> Range:
    """Return the range of a request (UTC)."""
    start, end = (datetime.fromisoformat(params[name]).astimezone(UTC) for name in ("startTime", "finishTime"))
    return start, end
