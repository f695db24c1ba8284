"""Test how a server is detected that cuts each list to a number of jobs, without a link or a total that tells."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.api.pagination import USUAL_PAGE_SIZES
from avepoint_m365.endpoints import Params
from avepoint_m365.extract.cut_lists import SETTLED, learn_from_usual_limits, learn_longest_list
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import EDGE, Selection, Window

from tests.support.ranges import RangeServer, TimedJob, every_twelve_hours, range_of

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=20)
HISTORY = Selection(Window(START, END, END))
JOBS = every_twelve_hours(START, 20)


@dataclass
class CutServer(RangeServer):
    """Return the jobs of each list that ``keep`` selects; it gets them with the newest start first."""

    keep: Callable[[list[TimedJob]], list[TimedJob]] = field(default=lambda jobs: jobs)

    def matching(self, params: Params) -> list[TimedJob]:
        return self.keep(super().matching(params))


def learns_cut(reader: ListingReader) -> bool:
    """Read the history, and return whether its list is known as cut."""
    return learn_longest_list(reader, reader.read(HISTORY), START)


@pytest.mark.parametrize("limit", [11, 38])
def test_a_list_without_the_jobs_before_its_oldest_one_was_cut(limit: int) -> None:
    server = RangeServer(JOBS, longest_list=limit)
    reader = server.reader()
    assert learns_cut(reader)
    assert reader.paging.longest_list == limit
    # The list, and a range that ends with its oldest job.
    assert [range_of(params) for params in server.asked] == [
        (START, END),
        (START, JOBS[-limit].start + timedelta(hours=1) + EDGE),
    ]


@pytest.mark.parametrize("limit", [11, 36])
def test_a_list_without_the_jobs_after_its_newest_one_was_cut(limit: int) -> None:
    server = CutServer(JOBS, keep=lambda jobs: jobs[-limit:])
    reader = server.reader()
    assert learns_cut(reader)
    assert reader.paging.longest_list == limit
    # The list, a range that ends with its oldest job, and one that begins with its newest job.
    assert [range_of(params) for params in server.asked] == [
        (START, END),
        (START, JOBS[0].finish + EDGE if JOBS[0].finish else START),
        (JOBS[limit - 1].start - EDGE, END),
    ]


def test_jobs_that_started_since_a_list_was_read_do_not_count_as_cut() -> None:
    server = RangeServer(JOBS[:-1])
    reader = server.reader()
    listing = reader.read(HISTORY)
    listing.server_time = JOBS[-1].start + SETTLED
    later = [replace(JOBS[-1], id=str(second), start=JOBS[-1].start + timedelta(seconds=second)) for second in range(9)]
    server.jobs = [*JOBS[:-1], *later[1:]]
    assert not learn_longest_list(reader, listing, START)
    assert range_of(server.asked[-1])[1] == JOBS[-1].start


def test_a_list_up_to_the_present_costs_one_request() -> None:
    server = RangeServer(JOBS[1:])
    reader = server.reader()
    listing = reader.read(HISTORY)
    listing.server_time = JOBS[-1].start + SETTLED
    assert not learn_longest_list(reader, listing, START)
    assert len(server.asked) == 2


@pytest.mark.parametrize("limit", [10, 20, 30])
def test_a_list_as_long_as_a_usual_limit_is_checked_once(limit: int) -> None:
    server = RangeServer(JOBS, longest_list=limit)
    reader = server.reader()
    listing = reader.read(HISTORY)
    assert learn_from_usual_limits(reader, [listing])
    assert reader.paging.longest_list == limit
    asked = len(server.asked)
    assert not learn_from_usual_limits(reader, [listing])
    assert len(server.asked) == asked


@pytest.mark.parametrize("jobs", [37, 39])
def test_a_list_of_another_length_costs_no_request(jobs: int) -> None:
    server = RangeServer(JOBS, longest_list=jobs)
    reader = server.reader()
    listing, asked = reader.read(HISTORY), len(server.asked)
    assert not learn_from_usual_limits(reader, [listing])
    assert len(server.asked) == asked


def test_round_hundreds_are_usual_limits() -> None:
    first = START - timedelta(days=360)
    assert not {500, 700} & USUAL_PAGE_SIZES
    for limit in (500, 700):
        reader = RangeServer(every_twelve_hours(first, 360), longest_list=limit).reader()
        window = Window(first, END, END)
        assert learn_from_usual_limits(reader, [reader.read(Selection(window))])
        assert reader.paging.longest_list == limit


def test_only_complete_lists_are_checked_while_limits_are_doubted() -> None:
    reader = RangeServer(JOBS, longest_list=30).reader()
    listing = reader.read(HISTORY)
    assert not learn_from_usual_limits(reader, [replace(listing, complete=False)])
    reader.paging.doubts_limits = False
    assert not learn_from_usual_limits(reader, [listing])


def test_a_single_missing_job_is_too_little_evidence() -> None:
    reader = RangeServer(JOBS, longest_list=39).reader()
    assert not learns_cut(reader)
    assert reader.paging.longest_list is None


def test_the_shorter_of_two_lists_that_were_cut_is_the_limit() -> None:
    reader = RangeServer(JOBS, longest_list=20).reader()
    reader.paging.longest_list = 30
    assert learns_cut(reader)
    assert reader.paging.longest_list == 20


def test_a_longer_list_that_was_cut_does_not_raise_the_limit() -> None:
    reader = RangeServer(JOBS, longest_list=20).reader()
    reader.paging.longest_list = 15
    assert learns_cut(reader)
    assert reader.paging.longest_list == 15


def test_a_list_of_all_jobs_was_not_cut() -> None:
    reader = RangeServer(JOBS).reader()
    assert not learns_cut(reader)
    assert reader.paging.longest_list is None


def test_a_list_of_fewer_jobs_than_the_smallest_page_costs_no_request() -> None:
    server = RangeServer(JOBS, longest_list=9)
    assert not learns_cut(server.reader())
    assert len(server.asked) == 1


def test_a_list_without_finished_jobs_costs_no_request() -> None:
    server = RangeServer([replace(job, finish=None) for job in JOBS[1:]])
    assert not learns_cut(server.reader())
    assert len(server.asked) == 1


@pytest.mark.parametrize(("concurrent", "cut"), [(3, True), (4, True), (5, False), (6, False)])
def test_a_list_was_cut_only_if_it_lacks_most_jobs_before_its_oldest_one(concurrent: int, cut: bool) -> None:
    """Test a page of 10 jobs before the oldest one: it holds jobs of the list that ran at the same time."""
    oldest, *later = JOBS[-20:]
    beside = [
        replace(oldest, id=str(number), start=oldest.start + timedelta(minutes=number))
        for number in range(1, concurrent)
    ]
    server = RangeServer([*JOBS[:-20], oldest, *beside, *later], longest_list=19 + concurrent)
    assert learns_cut(server.reader()) == cut
