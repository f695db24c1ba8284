"""Define the deviations of a simulated server from the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from avepoint_simulator.parameters import EARLIEST, SPELLING, RefusedParameterError
from avepoint_simulator.tenant import SimulatedJob

BEHAVIORS = {
    "parameter_case": ("any", "camel", "pascal"),
    "time_parameter_case": ("any", "camel", "pascal"),
    "unset_location": ("all", "central"),
    "longer_ranges": ("refused", "last", "first"),
    "older_starts": ("refused", "cut"),
    "repeated_row": ("none", "older_first", "older_last"),
}
"""The values of switches that take one word."""
TIMES = ("starttime", "finishtime")


@dataclass(frozen=True)
class ServerBehavior:
    """Describe the deviations of a server from the documentation; the default has none.

    An outcome is ``"empty"`` (a list without jobs), ``"no_content"`` (204) or a status.

    Raises:
        ValueError: for a word that is not one of ``BEHAVIORS``.
    """

    parameter_case: str = "any"
    """The spelling of parameter names that is read: any, camel (``pageSize``) or pascal (``PageSize``)."""
    time_parameter_case: str = "any"
    """The same for startTime and finishTime alone."""
    parameter_answers: Mapping[str, str | int] = field(default_factory=dict)
    """The response to ``"name"`` or ``"name=value"``: ``"ignored"`` (as if not sent), or an outcome."""
    unset_location: str = "all"
    """The locations that a request without location lists: all, or the central one."""
    default_range_days: float | None = None
    """The range of a request without startTime, before now; None: all jobs."""

    range_days: float | None = None
    """The longest range that is answered in full."""
    longer_ranges: str = "refused"
    """The response to a longer range: refused with 400, or silently shortened to its last or first days."""
    oldest_start_days: float | None = None
    """The most days that startTime may lie in the past; None for no limit."""
    older_starts: str = "refused"
    """The response to an older start: refused with 400, or silently shortened."""

    index_lag_hours: float = 0.0
    """Hours after its start at which a job gets into the index that listings read."""
    index_lag_filters: tuple[str, ...] = ()
    """Parameters of the listings that lag; all listings lag if it is empty."""
    index_lag_share: float = 1.0
    """The share of the jobs that lag, 0 to 1, selected by their ids."""
    open_hidden_after_hours: float | None = None
    """Hours after its start for which a job in progress is listed; None for no limit."""

    page_size_limit: int | None = None
    larger_pages: str | int = "empty"
    """The outcome of a request with a larger page size."""
    depth_limit: int | None = None
    """The most rows of a listing that its pages return; None for no limit."""
    deeper_pages: str | int = "end"
    """The answer beyond the limit: a status, or pages are ``"empty"``, or ``"end"`` with a total of that many."""
    filters_after_paging: bool = False
    """Whether jobs are filtered after they are divided into pages; some pages are then short or empty."""
    total_factor: int = 1
    """How many times a total counts the jobs, as one of all tenants does."""
    total_error: int = 0
    """Added to every total."""

    first_requests: int = 0
    """The number of first requests for jobs that get ``first_answer``."""
    first_answer: str | int = "empty"
    """An outcome."""
    empty_generations: tuple[int, ...] = ()
    """Generations that list nothing."""

    repeated_row: str = "none"
    """Whether the newest ended job is listed a second time, in progress: before or after its newer row."""
    missing_fields: tuple[str, ...] = ()
    """Fields that no job of a page has."""
    missing_on_page: int | None = None
    """Only this page, counted from 0, lacks the fields."""
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other values of fields, by job id."""

    job_by_id: bool = True
    """Whether the second generation has the request for one job."""
    top_errors: int | None = None
    """The most errors in the response for one job; None for all."""
    clock_skew_hours: float | None = None
    """Hours by which the Date header is ahead of the world's clock; None for no such header."""

    def __post_init__(self) -> None:
        for name, words in BEHAVIORS.items():
            if (value := getattr(self, name)) not in words:
                raise ValueError(f"{name} is {value!r}, not one of {', '.join(words)}")

    def read(self, sent: Mapping[str, str]) -> dict[str, str]:
        """Return the parameters that the server reads, their names in lower case."""
        params = {name.lower(): value for name, value in sent.items() if self._reads(name)}
        return {name: value for name, value in params.items() if self._answer_to(name, value) != "ignored"}

    def spell(self, name: str) -> str:
        """Return the name of a parameter, given in lower case, as the server spells it."""
        camel = SPELLING.get(name, name)
        return camel[:1].upper() + camel[1:] if self._case(name) == "pascal" else camel

    def _case(self, name: str) -> str:
        of_times = self.time_parameter_case if name.lower() in TIMES else "any"
        return self.parameter_case if of_times == "any" else of_times

    def _reads(self, name: str) -> bool:
        case = self._case(name)
        return case == "any" or (case == "pascal") == name[:1].isupper()

    def _answer_to(self, name: str, value: str) -> str | int | None:
        for pattern, answer in self.parameter_answers.items():
            pattern_name, equals, pattern_value = pattern.partition("=")
            if pattern_name.lower() == name and (not equals or pattern_value == value):
                return answer
        return None

    def outcome(self, generation: int, params: Mapping[str, str], number: int) -> tuple[str | int, str] | None:
        """Return the outcome of a listing and its parameter; None if jobs are listed as usual.

        ``number`` counts the requests for jobs from 1.
        """
        if number <= self.first_requests:
            return self.first_answer, ""
        for name, value in params.items():
            if (answer := self._answer_to(name, value)) is not None:
                return answer, name
        return ("empty", "") if generation in self.empty_generations else None

    def page_outcome(self, index: int, size: int, asked_size: int) -> tuple[str | int, str] | None:
        """Return the outcome of page ``index``, counted from 0, and its parameter, beyond a limit; None within."""
        if self.page_size_limit is not None and asked_size > self.page_size_limit:
            return self.larger_pages, "pageSize"
        deep = self.depth_limit is not None and (index + 1) * size > self.depth_limit
        return (self.deeper_pages, "pageIndex") if deep and isinstance(self.deeper_pages, int) else None

    def narrow(
        self, since: datetime | None, until: datetime | None, now: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """Return the range (UTC) that is listed for a requested range.

        Raises:
            RefusedParameterError: for a range that is too long or a start that is too old.
        """
        if since is None and self.default_range_days is not None:
            since = now - timedelta(self.default_range_days)
        if self.oldest_start_days is not None:
            oldest = now - timedelta(self.oldest_start_days)
            if since is not None and since < oldest and self.older_starts == "refused":
                text = f"The startTime must not be more than {self.oldest_start_days:g} days ago."
                raise RefusedParameterError("startTime", text)
            since = max(since or oldest, oldest)
        if self.range_days is None:
            return since, until
        longest, end = timedelta(self.range_days), until or now
        if end - (since or EARLIEST) <= longest:
            return since, until
        if self.longer_ranges == "refused" and since is not None:
            text = f"The time range must not exceed {self.range_days:g} days."
            raise RefusedParameterError("startTime", text)
        if self.longer_ranges == "first" and since is not None:
            return since, since + longest
        return end - longest, until

    def lists(self, job: SimulatedJob, params: Mapping[str, str], now: datetime) -> bool:
        """Return whether the index that listings read has a job at ``now``."""
        hidden_after = self.open_hidden_after_hours
        if hidden_after is not None and not job.finished(now) and job.start + timedelta(hours=hidden_after) <= now:
            return False
        if job.start + timedelta(hours=self.index_lag_hours) <= now:
            return True
        if self.index_lag_filters and not any(name.lower() in params for name in self.index_lag_filters):
            return True
        return crc32(job.id.encode()) % 100 >= self.index_lag_share * 100

    @property
    def hides_jobs(self) -> bool:
        """Return whether some jobs may be missing from listings."""
        return bool(self.index_lag_hours) or self.open_hidden_after_hours is not None
