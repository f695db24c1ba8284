"""Test what a listing records of its requests for ``load_audit``, and what a reader knows of the server before."""

from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.api.page import JobsPage
from avepoint_m365.constants import ObjectType
from avepoint_m365.endpoints import Params
from avepoint_m365.extract import listing as listing_module
from avepoint_m365.extract.listing import Listing, unique_now
from avepoint_m365.extract.window import Selection, Window

from tests.support.pages import jobs_page
from tests.unit.avepoint_m365.test_listing import SELECTION, Changing, Server, numbers, reader_of

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_two_listings_of_the_same_microsecond_start_at_different_times(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        """Stand still at noon."""

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return NOON

    monkeypatch.setattr(listing_module, "datetime", Stopped)
    monkeypatch.setattr(listing_module, "_last_now", NOON - SECOND)
    microsecond = timedelta(microseconds=1)
    assert [unique_now() for _ in range(3)] == [NOON, NOON + microsecond, NOON + 2 * microsecond]


def test_a_listing_adds_up_its_pages() -> None:
    listing = Listing(Selection(Window(NOON, NOON, NOON)))
    row = {"state": "Finished"}
    pages = [
        jobs_page([row | {"id": "a"}, row | {"id": "b"}], 3)._replace(attempts=3, server_time=NOON),
        jobs_page([row | {"id": "b"}, row | {"id": "c"}], 4, errors="EUR is down")._replace(
            attempts=2, server_time=NOON + SECOND
        ),
        jobs_page([], None),
    ]
    listing.add(pages)
    recorded = (listing.pages, listing.ids, listing.requests, listing.retries, listing.endpoint)
    assert recorded == (pages, {"a", "b", "c"}, 3, 3, "jobs")
    assert (listing.reported_total, listing.surplus, listing.server_time) == (4, 1, NOON + SECOND)
    assert (listing.error_kind, listing.detail) == ("api", "EUR is down")


def test_a_listing_counts_the_requests_that_the_server_refused() -> None:
    server = Server(5, refuses_over=60)
    listing = reader_of(server).read(SELECTION)
    # 500, 250, 125, 62 and 31 jobs on a page.
    assert (listing.requests, listing.page_size, len(server.asked)) == (5, 31, 5)


@pytest.mark.parametrize(("known", "asked"), [(False, "1000"), (True, "500")])
def test_a_listing_is_begun_with_other_pages_unless_the_size_of_the_server_is_known(known: bool, asked: str) -> None:
    server = Server(5)
    reader = reader_of(server)
    reader.paging.page_size_is_known = known
    started = reader.begin(SELECTION, page_size=1000)
    assert [params["pageSize"] for params in server.asked] == [asked]
    assert reader.finish(started).complete


def test_a_server_that_accepted_only_dates_is_asked_for_dates_at_once() -> None:
    server = Server(5, dates_only=True)
    reader = reader_of(server)
    reader.paging.whole_days = True
    assert reader.read(SELECTION).complete
    assert [params["startTime"] for params in server.asked] == ["2026-01-01"]


@pytest.mark.parametrize(("largest_page", "requests"), [(20, 2), (21, 1)])
def test_a_page_smaller_than_the_largest_page_of_the_server_is_the_last_one(largest_page: int, requests: int) -> None:
    """Test a page of 20 jobs, a usual limit of servers, without a total and without a further page."""
    server = Server(20, total="absent")
    reader = reader_of(server)
    reader.paging.largest_page = largest_page
    assert reader.read(SELECTION).complete
    assert len({params.get("pageIndex") for params in server.asked}) == requests


@pytest.mark.parametrize("count", [5, 6])
def test_a_list_as_long_as_the_longest_one_of_the_server_is_incomplete(count: int) -> None:
    reader = reader_of(Server(count))
    reader.paging.longest_list = 5
    listing = reader.read(SELECTION)
    assert (listing.complete, listing.needs_shorter_ranges, listing.error_kind, listing.detail) == (
        False,
        True,
        "bad_response",
        f"Cut list: the API returns at most {count} jobs in one list.",
    )
    probed = reader.probe(SELECTION)
    assert (probed.holds_all, probed.complete) == (False, False)


def test_a_list_shorter_than_the_longest_one_of_the_server_is_complete() -> None:
    reader = reader_of(Server(4))
    reader.paging.longest_list = 5
    listing, probed = reader.read(SELECTION), reader.probe(SELECTION)
    assert (listing.complete, listing.needs_shorter_ranges, listing.error_kind, listing.detail) == (
        True,
        False,
        None,
        None,
    )
    assert (probed.holds_all, probed.complete) == (True, True)


def test_the_error_of_a_list_precedes_its_length() -> None:
    reader = reader_of(Server(5, errors=1000))
    reader.paging.longest_list = 5
    listing = reader.read(SELECTION._replace(object_type=ObjectType.power_bi))
    assert (listing.complete, listing.needs_shorter_ranges, listing.detail) == (False, False, "EUR is down")


@pytest.mark.parametrize(
    ("count", "total", "surplus"), [(5, "matches", 0), (0, "matches", 3), (5, "absent", 3), (5, "far too many", 3)]
)
def test_the_surplus_of_all_totals_is_forgotten_after_a_total_of_a_list_with_jobs_was_right(
    count: int, total: str, surplus: int
) -> None:
    reader = reader_of(Server(count, total=total))
    reader.paging.total_surplus = 3
    assert reader.read(SELECTION).complete
    assert reader.paging.total_surplus == surplus


def test_a_list_is_read_once_after_totals_were_shown_to_count_other_jobs() -> None:
    server = Server(5, total="far too many")
    reader = reader_of(server, 5)
    reader.paging.totals_count_others = True
    assert not reader.read(SELECTION).complete
    # A second read would have smaller pages.
    assert {params["pageSize"] for params in server.asked} == {"5"}
    # Listings of other types compare their surplus with this one.
    assert reader.paging.surpluses == [(3, SELECTION)]


def test_a_list_without_a_total_is_not_complete_while_pages_move() -> None:
    class Growing(Server):
        """Add a job to the beginning of the list before each response."""

        def answer(self, params: Params) -> JobsPage:
            self.ids = [len(self.jobs()), *self.jobs()]
            return super().answer(params)

    assert not reader_of(Growing(most=20, ids=list(range(60)), total="absent"), 20).read(SELECTION).complete


def test_a_job_that_came_to_a_page_before_is_found_if_the_last_page_repeats_all_jobs_but_one() -> None:
    server = Changing(most=8, ids=list(range(17)), total="absent", link="index")
    # The third page has the last job of the second page, and the last job.
    server.changes = {2: [*range(12), 99, *range(12, 17)]}
    listing = reader_of(server, 8).read(SELECTION)
    assert numbers(listing) == [*range(17), 99]
    assert listing.complete
