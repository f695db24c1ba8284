"""Test a listing against servers with each form of paging that the documentation permits, without a network."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.api import pagination
from avepoint_m365.api.page import JobsPage, PageInfo
from avepoint_m365.constants import JobType, ObjectType
from avepoint_m365.endpoints import JOBS, Params
from avepoint_m365.exceptions import ApiError, EndpointMissingError, RefusedParametersError
from avepoint_m365.extract.complete import read_completely
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.window import Selection, Window
from avepoint_m365.parse.raw import RawJobs
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.pages import jobs_page

DAY = datetime(2026, 1, 1, tzinfo=UTC)
SELECTION = Selection(Window(DAY, DAY, DAY), object_type=ObjectType.teams)


@dataclass
class Server:
    """Simulate a server by one interpretation of the documentation. Jobs are numbered."""

    count: int = 0
    most: int = 500
    """The most jobs on a page."""
    first: str = "0"
    """The meaning of a missing pageIndex: 0 or 1 (the number of the first page), "required", or "empty" (0, although
    pages are numbered from 1).
    """
    stride: str = "given"
    """Whether pages are divided by the returned size or by the requested size."""
    total: str = "matches"
    link: str = "index"
    refuses_over: int = 10_000
    dates_only: bool = False
    beyond: str = "empty"
    """The response after the last page: empty, with a total of 0 ("nothing"), refused, or refused for all pages
    after the first ("all refused").
    """
    newest_first: bool = False
    """Whether jobs have a start, each earlier than that of the job before it."""
    errors: int = 0
    """The number of first responses that report an error beside their jobs."""
    asked: list[Params] = field(default_factory=list)
    ids: list[int] | None = None

    def jobs(self) -> list[int]:
        return list(range(self.count)) if self.ids is None else self.ids

    def answer(self, params: Params) -> JobsPage:
        self.asked.append(params)
        jobs, asked = self.jobs(), int(params["pageSize"])
        base = 0 if self.first == "0" else 1
        counted = "pageIndex" in params or "skipToken" in params
        if (
            (self.dates_only and "T" in params["startTime"])
            or asked > self.refuses_over
            or (not counted and self.first == "required")
        ):
            raise RefusedParametersError("no")
        size = min(asked, self.most)
        token = params.get("skipToken", params.get("pageIndex", "0" if self.first == "empty" else str(base)))
        index, cut = int(token) - base, size if self.stride == "given" else asked
        rows = jobs[index * cut :][:size] if index >= 0 else []
        more = index >= 0 and index * cut + size < len(jobs)
        if index > 0 and (self.beyond == "all refused" or (not rows and self.beyond == "refused")):
            raise RefusedParametersError("no such page")
        total = {
            "matches": len(jobs),
            "page": len(rows),
            "absent": None,
            "zero": 0,
            "first": len(jobs) if index == 0 else 0,
            "capped": min(len(jobs), 40),
            "pages": -(-len(jobs) // size),
            "too many": len(jobs) + 1,
            "far too many": len(jobs) + 3,
        }[self.total]
        follow = index + base + 1
        link = {
            "index": f"https://host/jobs?pageIndex={follow}&pageSize={asked}",
            "endless": f"https://host/jobs?pageIndex={follow}&pageSize={asked}",
            "token": f"?skipToken={follow}",
            "opaque": "b2gh==",
            "escaped": f"/jobs?pageSize={asked}&amp;pageIndex={follow}",
            "circle": f"/jobs?pageIndex={base}&pageSize={asked}",
            "none": None,
        }[self.link]
        raw: list[dict[str, object]] = [{"id": str(row), "state": "Finished"} for row in rows]
        for row in raw if self.newest_first else ():
            row["startTime"] = (DAY + timedelta(hours=int(str(row["id"])))).isoformat()
        message = "EUR is down" if len(self.asked) <= self.errors else ""
        if index > 0 and not rows and self.beyond == "nothing":
            total = 0
        leads_on = more or (self.link == "endless" and bool(rows))
        return jobs_page(raw, total, link if leads_on or link is None else "", message, seen_at=len(self.asked))


def reader_of(server: Server, page_size: int = 500) -> ListingReader:
    """Return a reader that sends requests to a server in this process, one at a time."""

    class Pool(RequestPool):
        def request_all(self, requests: Sequence[Params]) -> list[JobsPage]:
            assert len(server.asked) < 3000, "it does not end"
            return [server.answer(params) for params in requests]

    return ListingReader(Pool(server.answer, 1), PagingBehavior(page_size))


def read(server: Server, page_size: int = 500) -> Listing:
    return reader_of(server, page_size).read(SELECTION)


def numbers(listing: Listing) -> list[int]:
    return sorted(map(int, listing.ids))


def assert_all_is_there(listing: Listing, server: Server) -> None:
    assert numbers(listing) == sorted(server.jobs())
    assert listing.complete


@given(
    st.builds(
        Server,
        count=st.integers(0, 130),
        most=st.integers(1, 60),
        first=st.sampled_from(["0", "1", "required", "empty"]),
        stride=st.sampled_from(["given", "asked"]),
        total=st.sampled_from(["matches", "page", "absent", "zero", "first"]),
        link=st.sampled_from(["index", "endless", "token", "opaque", "circle", "none"]),
        refuses_over=st.sampled_from([10_000, 100, 20]),
        dates_only=st.booleans(),
        beyond=st.sampled_from(["empty", "nothing", "refused"]),
    ),
    st.integers(1, 60),
)
@example(Server(20, 20, "0", "given", "page", "index", beyond="refused"), 20)
@example(Server(40, 20, "1", "given", "absent", "none", beyond="refused"), 500)
@example(Server(137, 20, "0", "asked", "absent", "none"), 500)
@example(Server(137, 10, "0", "given", "pages", "none"), 500)
@example(Server(137, 20, "0", "given", "matches", "endless", beyond="nothing"), 500)
@example(Server(137, 20, "0", "given", "first", "index"), 500)
@example(Server(137, 20, "0", "given", "capped", "opaque"), 500)
@example(Server(137, 10, "0", "given", "zero", "none"), 500)
@example(Server(137, 60, "empty", "given", "matches", "index"), 500)
@example(Server(137, 60, "required", "given", "absent", "index"), 500)
@example(Server(137, 20, "0", "given", "absent", "token"), 500)
@example(Server(137, 20, "0", "given", "absent", "none", dates_only=True), 500)
@example(Server(137, 20, "0", "given", "absent", "escaped"), 500)
def test_every_job_is_listed_with_each_spelling_of_paging(server: Server, page_size: int) -> None:
    # A promised page that is refused leaves the listing incomplete; another test covers that.
    if server.link == "endless" and server.beyond == "refused":
        server.link = "index"
    # A total of 0 on an empty page is accepted, and the listing ends.
    if server.first == "empty" and server.total in ("zero", "page", "first"):
        server.first = "1"
    assert_all_is_there(read(server, page_size), server)


def test_the_first_page_is_requested_as_1_if_0_does_not_exist() -> None:
    class Strict(Server):
        def answer(self, params: Params) -> JobsPage:
            if params.get("pageIndex") == "0":
                raise EndpointMissingError("no such page")
            return super().answer(params)

    server = Strict(20, first="required")
    assert_all_is_there(read(server), server)


@pytest.mark.parametrize(("total", "link"), [("page", "endless"), ("too many", "none")])
def test_a_last_page_with_a_next_link_does_not_reveal_the_page_size(total: str, link: str) -> None:
    small, large = Server(2, total=total, link=link), Server(1234, total=total, link=link)
    paging = PagingBehavior(500)
    for server in (small, large):
        reader = reader_of(server)
        reader.paging = paging
        assert len(reader.read(SELECTION).ids) == server.count
    assert large.asked[0]["pageSize"] == "500"


def test_if_the_server_accepts_only_dates_the_range_is_widened_to_whole_days() -> None:
    server = Server(5, dates_only=True)
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    reader_of(server).read(Selection(Window(noon, noon, noon)))
    assert (server.asked[-1]["startTime"], server.asked[-1]["finishTime"]) == ("2026-01-05", "2026-01-06")


@pytest.mark.parametrize("says_its_time", [True, False])
def test_if_the_server_refuses_times_in_its_future_ranges_end_at_its_time(says_its_time: bool) -> None:
    behind = timedelta(hours=2 if says_its_time else 0)

    class Strict(Server):
        def answer(self, params: Params) -> JobsPage:
            time = datetime.now(UTC) - behind
            if datetime.fromisoformat(params["finishTime"]) > time:
                refusal = RefusedParametersError("finishTime lies in the future", "finishTime")
                refusal.server_time = time if says_its_time else None
                raise refusal
            return super().answer(params)

    server, now = Strict(137, 20, link="none"), datetime.now(UTC)
    reader = reader_of(server)
    past, ahead = Window(DAY, now, now + timedelta(days=1)), Window.exact(now + timedelta(hours=1), now)
    assert_all_is_there(reader.read(Selection(past)), server)
    refused = len(server.asked)
    assert_all_is_there(reader.read(Selection(ahead)), server)
    ends = [datetime.fromisoformat(params["finishTime"]) for params in server.asked]
    assert max(ends) - now + behind < timedelta(minutes=1)
    assert (server.asked[0]["pageSize"], server.asked[1]["pageSize"]) == ("10", "500")
    assert server.asked[refused]["startTime"] <= server.asked[refused]["finishTime"]


def test_a_range_that_is_refused_for_its_length_is_not_taken_for_one_in_the_future() -> None:
    class Short(Server):
        def answer(self, params: Params) -> JobsPage:
            start, end = (datetime.fromisoformat(params[name]) for name in ("startTime", "finishTime"))
            if end - start > timedelta(days=30):
                raise RefusedParametersError("at most a month")
            return super().answer(params)

    reader, now = reader_of(Short(5)), datetime.now(UTC)
    with pytest.raises(RefusedParametersError):
        reader.read(Selection(Window(now - timedelta(days=29.5), now, now + timedelta(days=1))))
    assert reader.paging.clock_lead is None


def test_a_request_that_is_refused_in_each_form_is_an_error() -> None:
    with pytest.raises(RefusedParametersError):
        read(Server(5, refuses_over=0))


@pytest.mark.parametrize(("total", "link"), [("matches", "none"), ("absent", "opaque"), ("absent", "index")])
def test_a_page_that_is_announced_and_then_refused_leaves_the_listing_incomplete(total: str, link: str) -> None:
    server = Server(40, 20, total=total, link=link, beyond="all refused")
    listing = read(server)
    assert (listing.complete, listing.error_kind) == (False, "api")
    assert listing.requests == len(server.asked)


def test_a_list_that_ends_at_a_refused_page_is_read_once() -> None:
    server = Server(40, 20, total="absent", link="none", beyond="refused")
    listing = read(server, 20)
    assert_all_is_there(listing, server)
    # Two pages, the refused page, and page one again.
    assert (len(server.asked), listing.requests) == (4, 4)


def test_a_page_that_cannot_be_read_is_not_taken_for_the_end() -> None:
    class Broken(Server):
        def answer(self, params: Params) -> JobsPage:
            if params.get("pageIndex", "0") != "0":
                raise ApiError("502")
            return super().answer(params)

    listing = read(Broken(20, 20, total="absent", link="none"), 20)
    assert (listing.complete, listing.needs_shorter_ranges, listing.detail) == (False, True, "502")


@pytest.mark.parametrize("total", ["matches", "absent"])
@pytest.mark.parametrize("link", ["index", "none"])
def test_a_server_that_repeats_its_first_page_is_never_complete(link: str, total: str) -> None:
    class Stuck(Server):
        def answer(self, params: Params) -> JobsPage:
            return super().answer({name: value for name, value in params.items() if name != "pageIndex"})

    assert not read(Stuck(137, 20, total=total, link=link)).complete


def test_empty_pages_with_a_link_to_another_page_are_followed() -> None:
    class Filtering(Server):
        """Leave out jobs after the pages are cut."""

        def answer(self, params: Params) -> JobsPage:
            answer = super().answer(params)
            if not 20 <= int((answer.info.ids or ["0"])[0]) < 60:
                return answer
            return jobs_page([], None, answer.info.next_link)

    listing = read(Filtering(137, 20, total="absent"))
    assert numbers(listing) == [*range(20), *range(60, 137)]
    assert listing.complete


class Linking(Server):
    """Send a link to a further page with every page, even after the last one."""

    def answer(self, params: Params) -> JobsPage:
        page = super().answer(params)
        following = int(params.get("pageIndex", "0")) + 1
        return page._replace(info=page.info._replace(next_link=f"?pageIndex={following}"))


@pytest.mark.parametrize("count", [3, 137])
def test_links_after_the_end_are_not_followed_once_totals_are_known_to_count_all_jobs(count: int) -> None:
    server = Linking(count, 20)
    reader = reader_of(server)
    assert_all_is_there(reader.read(SELECTION), server)
    server.count = 0
    server.asked.clear()
    assert reader.read(SELECTION).complete
    assert len(server.asked) == 1


def test_endless_links_of_empty_pages_are_followed_for_one_listing_alone() -> None:
    server = Linking(0, total="absent")
    reader = reader_of(server)
    listings = [reader.read(SELECTION), reader.read(SELECTION)]
    assert not any(listing.complete for listing in listings)
    assert [listing.requests > 100 for listing in listings] == [True, False]


def test_an_empty_page_with_a_total_above_zero_is_not_complete() -> None:
    class Hiding(Server):
        def answer(self, params: Params) -> JobsPage:
            return jobs_page([], 137, "")

    assert not read(Hiding()).complete
    assert not reader_of(Hiding()).probe(SELECTION).complete


@pytest.mark.parametrize("total", ["matches", "too many"])
@pytest.mark.parametrize("count", [0, 5, 40])
def test_a_listing_whose_responses_report_errors_is_not_complete(count: int, total: str) -> None:
    listing = read(Server(count, 20, total=total, errors=1000))
    assert len(listing.ids) == count
    assert (listing.complete, listing.detail) == (False, "EUR is down")
    assert not reader_of(Server(count, 20, errors=1000), 20).probe(SELECTION).complete


@pytest.mark.parametrize("count", [5, 40])
def test_a_listing_is_complete_once_its_responses_report_no_error(count: int) -> None:
    server = Server(count, 20, errors=1)
    assert_all_is_there(read(server), server)


def test_a_gap_between_pages_is_never_called_complete() -> None:
    listing = read(Server(137, 20, stride="asked", link="index"))
    assert not listing.complete or len(listing.ids) == 137


def test_the_accepted_page_size_is_used_for_later_requests() -> None:
    server = Server(100, refuses_over=60)
    reader = reader_of(server)
    reader.read(SELECTION)
    server.asked.clear()
    reader.read(SELECTION)
    assert {request["pageSize"] for request in server.asked} == {"31"}


@pytest.mark.parametrize("newest_first", [True, False])
@given(st.data())
def test_no_permanent_job_is_missed_while_pages_shift(newest_first: bool, data: st.DataObject) -> None:
    """Test jobs that appear or vanish between requests: a listing that misses a permanent job is not complete.

    If a job appears and another vanishes between the same two requests, no client can detect it (decision 0012).
    """

    class Moving(Server):
        def answer(self, params: Params) -> JobsPage:
            assert self.ids is not None
            happens = data.draw(st.sampled_from(["nothing"] * 6 + ["one goes", "one comes", "three go", "three come"]))
            for _ in range({"one": 1, "three": 3}.get(happens.split()[0], 0)):
                if "go" in happens and self.ids:
                    self.ids.remove(data.draw(st.sampled_from(self.ids)))
                elif "come" in happens:
                    seen.add(max(seen) + 1)
                    self.ids.insert(0 if newest_first else len(self.ids), max(seen))
            stayed.intersection_update(self.ids)
            return super().answer(params)

    ids = list(range(40))
    stayed, seen = set(ids), set(ids)
    server = Moving(most=8, ids=ids[::-1] if newest_first else ids)
    listing = read(server, 8)
    if {str(item) for item in stayed} - listing.ids:
        assert not listing.complete


@dataclass
class Changing(Server):
    """Change the list before the response to a numbered request."""

    changes: dict[int, list[int]] = field(default_factory=dict)

    def answer(self, params: Params) -> JobsPage:
        self.ids = self.changes.get(len(self.asked), self.ids)
        return super().answer(params)


def test_a_job_that_moved_to_the_first_page_is_read_without_a_total() -> None:
    server = Changing(most=8, ids=list(range(24)), total="absent", link="index")
    server.changes = {2: list(range(1, 24))}
    listing = read(server, 8)
    assert "16" in listing.ids
    assert listing.complete


def test_a_job_that_came_to_a_page_before_is_found_if_an_overlap_alone_tells() -> None:
    server = Changing(most=8, ids=list(range(40)), total="absent", link="index")
    # The third page begins with the last job of the second page; the fourth page overlaps no other.
    server.changes = {2: [*range(12), 99, *range(12, 40)]}
    listing = read(server, 8)
    assert "99" in listing.ids
    assert listing.complete


@pytest.mark.parametrize(("most", "size", "known"), [(20, 500, True), (20, 20, False), (500, 20, False)])
def test_only_pages_that_are_smaller_than_requested_show_the_size_that_the_server_gives(
    most: int, size: int, known: bool
) -> None:
    reader = reader_of(Server(100, most, total="absent", link="index"), size)
    reader.read(SELECTION)
    assert (reader.paging.page_size, reader.paging.page_size_is_known) == (20, known)


def test_a_job_that_moved_to_an_earlier_page_is_read_if_only_the_total_differs() -> None:
    server = Changing(most=8, ids=list(range(24)))
    # A job of the second page is removed and two are added, so the number of jobs that were read equals the total.
    server.changes = {2: [*range(8), *range(9, 26)]}
    listing = read(server, 8)
    assert numbers(listing) == list(range(26))
    assert listing.complete


@pytest.mark.parametrize(("newest_first", "requests"), [(True, 3), (False, 4)])
def test_the_first_page_is_read_again_unless_the_newest_job_is_the_first(newest_first: bool, requests: int) -> None:
    server = Server(most=8, ids=list(range(24))[::-1], newest_first=newest_first)
    assert_all_is_there(read(server, 8), server)
    assert len(server.asked) == requests


def test_the_first_page_is_read_again_if_the_total_changed_although_the_newest_job_is_the_first() -> None:
    server = Changing(most=8, ids=list(range(24))[::-1], newest_first=True)
    server.changes = {2: list(range(25))[::-1]}
    assert_all_is_there(read(server, 8), server)


def test_a_server_that_omits_a_different_job_in_each_read_is_never_complete() -> None:
    class Forgetful(Server):
        def answer(self, params: Params) -> JobsPage:
            page = super().answer(params)
            read_before = sum("pageIndex" not in asked for asked in self.asked) - 1
            rows = [{"id": job, "state": "Finished"} for job in page.info.ids if job != str(read_before)]
            return jobs_page(rows, page.info.total)

    reader = reader_of(Forgetful(5))
    # Otherwise the listing requests page one twice.
    reader.paging.page_size_is_known = True
    listing = reader.read(SELECTION)
    assert numbers(listing) == list(range(5))
    assert not listing.complete


def test_a_total_that_is_one_too_high_is_not_accepted_while_pages_move() -> None:
    class Turning(Server):
        def answer(self, params: Params) -> JobsPage:
            self.ids = self.jobs()[::-1]
            return super().answer(params)

    # Each request reverses the list, so page one changes each time.
    assert not read(Turning(most=20, ids=list(range(60)), total="too many"), 20).complete


def test_a_list_without_an_end_is_no_list_that_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "MAX_JOBS", 50)
    listing = read(Server(137, 20), 20)
    assert (listing.complete, listing.needs_shorter_ranges) == (False, False)
    assert listing.detail is not None
    assert listing.detail.startswith("Endless list")


def test_a_second_read_that_fails_at_once_leaves_the_jobs_of_the_first() -> None:
    class Failing(Server):
        def answer(self, params: Params) -> JobsPage:
            if params["pageSize"] != "20":
                raise RefusedParametersError("not again")
            return super().answer(params)

    listing = read(Failing(40, 20, total="too many"), 20)
    assert numbers(listing) == list(range(40))
    assert (listing.complete, listing.needs_shorter_ranges, listing.detail) == (False, True, "not again")


@pytest.mark.parametrize(("size", "smaller"), [(20, 13), (1, 1)])
def test_a_listing_that_lacks_jobs_is_read_again_with_pages_of_two_thirds(size: int, smaller: int) -> None:
    server = Server(4 * size, size, total="too many")
    assert_all_is_there(read(server, size), server)
    assert {int(asked["pageSize"]) for asked in server.asked} == {size, smaller}


@pytest.mark.parametrize(
    ("count", "total", "scope"),
    [
        (5, "matches", "matches"),
        (40, "matches", "matches"),
        (5, "page", "matches"),
        (20, "page", "matches"),
        (40, "page", "absent"),
        (1, "zero", "absent"),
        (5, "absent", "absent"),
        (40, "absent", "absent"),
    ],
)
def test_what_a_total_counts_is_recorded(count: int, total: str, scope: str) -> None:
    assert read(Server(count, 20, total=total, link="index"), 20).total_scope == scope


@pytest.mark.parametrize(
    ("count", "total", "errors", "holds_all", "complete"),
    [
        (0, "matches", 0, True, True),
        (5, "matches", 0, True, True),
        (5, "matches", 9, True, False),
        (40, "matches", 0, False, False),
        (40, "absent", 0, False, False),
    ],
)
def test_a_probe_is_complete_if_its_page_holds_all(
    count: int, total: str, errors: int, holds_all: bool, complete: bool
) -> None:
    probed = reader_of(Server(count, 20, total=total, link="index", errors=errors)).probe(SELECTION)
    assert (probed.selection, probed.holds_all, probed.complete) == (SELECTION, holds_all, complete)
    assert len(probed.ids) == min(count, 10)


def test_a_listing_whose_first_page_failed_has_the_error() -> None:
    error = RefusedParametersError("no such service")
    started = reader_of(Server()).failed(SELECTION, error)
    listing = started.listing
    assert (started.failure, started.pager.filters) == (error, SELECTION.parameters())
    assert (listing.selection, listing.requests, listing.complete) == (SELECTION, 1, False)
    assert (listing.error_kind, listing.detail) == ("api", "no such service")


def test_a_total_too_high_by_1_costs_a_second_read() -> None:
    server = Server(40, 20, total="too many", link="index")
    listing = read(server, 20)
    assert_all_is_there(listing, server)
    assert listing.total_scope == "absent"
    assert len(server.asked) < 12


def test_a_surplus_of_a_listing_that_reports_errors_counts_for_no_other() -> None:
    server = Server(5, total="far too many", errors=1000)
    reader = reader_of(server)
    first = reader.read(SELECTION)
    server.errors = 0
    second = reader.read(SELECTION._replace(object_type=ObjectType.power_bi))
    assert [first.complete, second.complete] == [False, False]


def test_a_surplus_that_two_listings_have_is_accepted_in_the_third() -> None:
    reader = reader_of(Server(5, total="far too many"))
    listings = [reader.read(SELECTION._replace(object_type=object_type)) for object_type in list(ObjectType)[:3]]
    assert [listing.complete for listing in listings] == [False, True, True]
    assert [len(listing.pages) for listing in listings] == [11, 8, 4]


def test_a_surplus_of_one_that_two_empty_listings_have_is_accepted_in_the_third() -> None:
    reader = reader_of(Server(0, total="too many"))
    listings = [reader.read(SELECTION._replace(object_type=object_type)) for object_type in list(ObjectType)[:3]]
    assert [listing.complete for listing in listings] == [False, True, True]


@pytest.mark.parametrize("count", [1, 499])
def test_jobs_that_fit_on_one_page_cost_one_request(count: int) -> None:
    server = Server(count)
    assert_all_is_there(read(server), server)
    assert len(server.asked) == 1


def test_a_list_that_ends_at_a_refused_page_is_read_in_halves_of_its_range() -> None:
    """Test servers that return pages to a depth of some thousand rows only, and answer 400 beyond it."""

    class Shallow(Server):
        def answer(self, params: Params) -> JobsPage:
            start, end = (datetime.fromisoformat(params[name]) for name in ("startTime", "finishTime"))
            shown = [number for number in range(64) if start <= DAY + timedelta(hours=number) <= end]
            inner = Server(most=4, ids=shown)
            if int(params.get("pageIndex", 0)) > 2:
                raise RefusedParametersError("too deep")
            self.asked.append(params)
            return inner.answer(params)

    server = Shallow(64)
    week = Selection(Window(DAY, DAY + timedelta(hours=70), DAY + timedelta(hours=70)))
    listings = read_completely(reader_of(server, 4), week, RangeLimits())
    assert set().union(*(listing.ids for listing in listings)) == set(map(str, range(64)))
    assert all(listing.complete for listing in listings)


def page_of_starts(starts: Sequence[str | None], first: int = 0) -> JobsPage:
    """Return a page of JSON with a job for each start; a job without one lacks the field."""
    ids = [str(number) for number in range(first, first + len(starts))]
    jobs = [{"id": key, **({"startTime": start} if start else {})} for key, start in zip(ids, starts, strict=True)]
    return JobsPage(PageInfo(ids, None, None), RawJobs(content=json.dumps(jobs)[1:-1].encode(), ids=ids), JOBS)


def listings_of(*pages: Sequence[str | None]) -> tuple[Listing, Listing]:
    """Return two listings with the same pages: one of a job type, and one of all jobs."""
    window = Window.exact(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC))
    listings = Listing(Selection(window, job_type=JobType.restore)), Listing(Selection(window))
    for listing in listings:
        listing.add(page_of_starts(starts, 10 * number) for number, starts in enumerate(pages))
    return listings


OLD, NEW = "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"


@pytest.mark.parametrize(
    ("pages", "newest_first"),
    [
        ([[NEW, OLD]], True),
        ([[NEW, NEW], [OLD]], True),
        ([[OLD, NEW]], False),
        ([[OLD], [NEW]], False),
    ],
)
def test_the_order_of_a_list_of_a_job_type_is_known_without_parsing_it(
    pages: list[list[str]], newest_first: bool
) -> None:
    labels, rows = listings_of(*pages)
    assert (labels.is_newest_first, rows.is_newest_first) == (newest_first, newest_first)
    assert all(page.raw.content for page in labels.pages)
    assert not any(page.raw.content for page in rows.pages)
    _ = labels.parsed
    assert labels.is_newest_first == newest_first, "the JSON of its pages is dropped once they are parsed"


FORMS = [None, OLD, NEW, "2026-01-02T03:04:05.5Z", "2026-01-02T04:04:05+01:00", "2026-01-02", "\u00fc", 'a"b', ""]
INVALID = ["0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z"]


@given(st.lists(st.lists(st.sampled_from([*FORMS, *INVALID]), min_size=1, max_size=3), max_size=3))
@example([])
@example([[NEW, None], [OLD]])
@example([["2026-01-02T03:04:05.5Z", OLD]])
def test_the_order_of_any_list_of_a_job_type_is_that_of_its_rows(pages: list[list[str | None]]) -> None:
    labels, rows = listings_of(*pages)
    assert labels.is_newest_first == rows.is_newest_first
