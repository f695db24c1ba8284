"""Test how a server is detected that cuts each list to its newest jobs, without a link or a total that tells."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.extract.cut_lists import learn_longest_list
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import EDGE, Selection, Window

from tests.support.ranges import RangeServer, every_twelve_hours, range_of

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=20)
HISTORY = Selection(Window(START, END, END))
JOBS = every_twelve_hours(START, 20)


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
