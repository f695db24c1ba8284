"""Test how a server is detected that silently shortens long ranges, and the range that it answers in full."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.config import EARLIEST
from avepoint_m365.constants import ObjectType
from avepoint_m365.extract.deduplicate import deduplicate_latest
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.truncation import find_untruncated_range
from avepoint_m365.extract.window import Selection, Window

from tests.support.ranges import Range, RangeServer, TimedJob, range_of

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + 374 * DAY
WINDOW = Window(START, END, END)
TEAMS, CHAT = ObjectType.teams, ObjectType.teams_chat


def job(name: str, start: datetime, length: timedelta = HOUR, *filters: tuple[str, str]) -> TimedJob:
    return TimedJob(name, start, start + length, filters)


JOBS = [job(str(number), START + DAY * (0.25 + 20 * number**0.5)) for number in range(350)]
"""Jobs that become more frequent, so that two ranges of one length hold different numbers of jobs."""


Shortening = Callable[[datetime, datetime], Range]


def first_days(days: float) -> Shortening:
    """Return a server's way to shorten: it answers only the first days of a range."""
    return lambda start, end: (start, min(end, start + days * DAY))


def last_days(days: float) -> Shortening:
    """Return a server's way to shorten: it answers only the last days of a range."""
    return lambda start, end: (max(start, end - days * DAY), end)


def nothing_over(days: float) -> Shortening:
    """Return a server's way to shorten: it answers a longer range with an empty list."""
    return lambda start, end: (start, end) if end - start <= days * DAY else (EARLIEST, EARLIEST)


@dataclass
class Detection:
    """Hold the result for a server, and the requests that followed the listings of the long range."""

    server: RangeServer
    types: Sequence[ObjectType | None] = (None,)
    confirms_empty: bool = False
    window: Window = WINDOW
    listed: Sequence[ObjectType | None] | None = None
    """The types of the listings; None for those of the selections."""
    reader: ListingReader = field(init=False)
    length: timedelta | None = field(init=False)

    def __post_init__(self) -> None:
        self.reader = self.server.reader()
        selections = [Selection(self.window, object_type=object_type) for object_type in self.types]
        listed = self.types if self.listed is None else self.listed
        listings = [self.reader.read(Selection(self.window, object_type=object_type)) for object_type in listed]
        self.server.asked.clear()
        self.length = find_untruncated_range(
            self.reader, selections, deduplicate_latest(listings), listings, self.confirms_empty
        )

    @property
    def longest_list(self) -> int | None:
        """Return the most jobs of a list, if the server cuts lists."""
        return self.reader.paging.longest_list

    @property
    def asked(self) -> list[tuple[str | None, Range, str]]:
        """Return the object type, the range and the page size of each request."""
        return [(params.get("objectType"), range_of(params), params["pageSize"]) for params in self.server.asked]

    @property
    def days(self) -> float | None:
        """Return the longest range that the server answers in full, in days."""
        return None if self.length is None else self.length / DAY


@pytest.mark.parametrize("shorten", [first_days, last_days])
@pytest.mark.parametrize(
    ("answered", "longest"), [(300, 92), (93, 92), (91, 28), (29, 28), (27, 7), (8, 7), (6.5, 1), (1.5, 1), (0.9, None)]
)
def test_the_longest_range_is_found_that_the_server_answers_in_full(
    shorten: Callable[[float], Shortening], answered: float, longest: float | None
) -> None:
    detection = Detection(RangeServer(JOBS, shorten=shorten(answered)))
    assert (detection.days, detection.longest_list) == (longest, None)


@pytest.mark.parametrize(("answered", "longest"), [(373, 92), (91, 28), (29, 28), (27, 7), (5, None)])
def test_a_server_that_answers_long_ranges_with_an_empty_list_is_asked_month_by_month(
    answered: float, longest: float | None
) -> None:
    detection = Detection(RangeServer(JOBS, shorten=nothing_over(answered)), confirms_empty=True)
    assert (detection.days, detection.longest_list) == (longest, None)


def test_a_server_that_answers_in_full_costs_one_small_page_of_the_range_before_the_oldest_job() -> None:
    detection = Detection(RangeServer(JOBS))
    assert detection.days is None
    end = JOBS[0].start + HOUR + SECOND
    assert detection.asked == [(None, (end - 374 * DAY, end), "10")]


def test_no_range_begins_before_the_earliest_time() -> None:
    window = Window(EARLIEST + 10 * DAY, EARLIEST + 100 * DAY, EARLIEST + 100 * DAY)
    detection = Detection(RangeServer([job("a", window.start + DAY)]), window=window)
    assert detection.days is None
    assert detection.asked == [(None, (EARLIEST, window.start + DAY + HOUR + SECOND), "10")]


@pytest.mark.parametrize("oldest_first", [True, False])
def test_jobs_before_the_range_do_not_show_that_it_was_shortened(oldest_first: bool) -> None:
    earlier = [job(f"earlier {day}", START - day * DAY) for day in range(1, 30)]
    assert Detection(RangeServer([*JOBS, *earlier], oldest_first=oldest_first)).days is None


def test_a_job_at_the_beginning_of_the_range_shows_that_it_was_shortened() -> None:
    window = Window(START, START + 40 * DAY, START + 40 * DAY)
    server = RangeServer([job("a", START), job("b", START + 18 * DAY)], shorten=last_days(25))
    assert Detection(server, window=window).days == 7


def test_a_range_is_answered_in_full_if_it_returns_a_job_at_its_beginning_and_at_its_end() -> None:
    hidden, shown = START + 250 * DAY, START + 280 * DAY
    detection = Detection(RangeServer([job("hidden", hidden), job("shown", shown)], shorten=last_days(100)))
    assert detection.days == 92
    first, last, probed = hidden - SECOND, hidden + HOUR + SECOND, shown + HOUR + SECOND
    assert detection.asked == [
        (None, (probed - 374 * DAY, probed), "10"),
        (None, (first, first + 92 * DAY), "500"),
        (None, (last - 92 * DAY, last), "500"),
    ]


def test_an_older_job_that_has_not_ended_shows_that_the_range_was_shortened() -> None:
    def starts_within(item: TimedJob, start: datetime, end: datetime) -> bool:
        return start <= item.start <= end

    jobs = [replace(item, finish=None) if item.start < START + 300 * DAY else item for item in JOBS]
    detection = Detection(RangeServer(jobs, shorten=last_days(73), matches=starts_within))
    assert detection.days == 28
    assert Detection(RangeServer(jobs, matches=starts_within)).days is None


def test_ranges_that_are_not_longer_than_the_only_job_are_not_tested_with_it() -> None:
    long_job = job("a", START + DAY, 7 * DAY)
    assert Detection(RangeServer([long_job, *JOBS[20:]], shorten=first_days(20))).days == 1
    almost = job("a", START + DAY, 7 * DAY - 2 * SECOND)
    assert Detection(RangeServer([almost, *JOBS[20:]], shorten=first_days(20))).days == 7


@pytest.mark.parametrize("confirms_empty", [True, False])
def test_a_range_without_jobs_is_read_in_months_only_on_request(confirms_empty: bool) -> None:
    window = Window(START, START + 40 * DAY, START + 40 * DAY)
    types = (TEAMS, CHAT)
    detection = Detection(RangeServer([]), types, confirms_empty, window)
    assert detection.days is None
    months = [(START + 12 * DAY, START + 40 * DAY), (START, START + 12 * DAY + SECOND)]
    expected = [(str(int(kind)), month, "10") for kind in types for month in months]
    assert detection.asked == (expected if confirms_empty else [])


def test_a_range_with_open_jobs_alone_shows_nothing() -> None:
    detection = Detection(RangeServer([replace(JOBS[-1], finish=None)], shorten=last_days(10)))
    assert (detection.days, detection.asked) == (None, [])


def test_all_requests_name_the_object_type_of_the_oldest_job() -> None:
    teams, chat = ("objectType", str(int(TEAMS))), ("objectType", str(int(CHAT)))
    jobs = [replace(item, filters=(chat if int(item.id) % 2 else teams,)) for item in JOBS]
    for last in (100, 101, 102, 103):
        server = RangeServer(jobs, shorten=last_days(last))
        detection = Detection(server, (TEAMS, CHAT))
        assert detection.days == 92
        oldest = min(
            (item for item in jobs if item.finish and item.finish >= END - last * DAY), key=lambda item: item.start
        )
        assert {kind for kind, _, _ in detection.asked} == {oldest.filters[0][1]}


def test_all_requests_name_the_object_type_of_a_job_that_a_month_shows() -> None:
    teams, chat = ("objectType", str(int(TEAMS))), ("objectType", str(int(CHAT)))
    server = RangeServer([replace(item, filters=(chat,)) for item in JOBS], shorten=nothing_over(100))
    detection = Detection(server, (TEAMS, CHAT), confirms_empty=True)
    assert detection.days == 92
    assert [kind for kind, _, size in detection.asked if size == "500"] == [chat[1]] * 2
    assert {kind for kind, _, size in detection.asked if size == "10"} == {teams[1], chat[1]}


def test_jobs_of_a_listing_with_other_filters_are_asked_for_by_the_first_selection() -> None:
    teams = ("objectType", str(int(TEAMS)))
    server = RangeServer([replace(item, filters=(teams,)) for item in JOBS], shorten=last_days(100))
    detection = Detection(server, (TEAMS, CHAT), listed=(None,))
    assert detection.days == 92
    assert {kind for kind, _, _ in detection.asked} == {teams[1]}


@pytest.mark.parametrize(("limit", "longest"), [(20, 7), (12, 1), (40, 7)])
def test_ranges_of_all_lengths_that_end_after_as_many_jobs_show_the_longest_list(limit: int, longest: int) -> None:
    detection = Detection(RangeServer(JOBS, longest_list=limit))
    assert (detection.days, detection.longest_list) == (longest, limit)
