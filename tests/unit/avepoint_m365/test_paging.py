"""Test paging against servers that number, size and link their pages in each known way."""

from urllib.parse import urlencode

import pytest
from avepoint_m365.api import pagination
from avepoint_m365.api.page import PageInfo
from avepoint_m365.api.pagination import Pager
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import EndlessListError
from hypothesis import given
from hypothesis import strategies as st

LINKS = {
    "absolute": "https://host/backup/m365/jobs?{}",
    "foreign": "https://evil.example/else?{}",
    "relative": "/jobs?{}",
    "query only": "?{}",
    "wrong path": "/jobs?{}",
    "none": None,
    "opaque": "b64token==",
}


class Server:
    """Cut ``count`` jobs into pages as one variant of the API does."""

    def __init__(self, count: int, largest: int, base: int, link: str, total: str) -> None:
        self.rows = [str(n) for n in range(count)]
        self.largest, self.base, self.link, self.total = largest, base, LINKS[link], total

    def answer(self, params: Params) -> PageInfo:
        assert params["objectType"] == "1"
        size = min(int(params["pageSize"]), self.largest)
        index = max(int(params.get("pageIndex", self.base)) - self.base, 0)
        rows = self.rows[index * size : (index + 1) * size]
        more = (index + 1) * size < len(self.rows)
        query = urlencode({"pageindex": index + self.base + 1, "OBJECTTYPE": "0"})
        link = None if self.link is None else self.link.format(query) if more else ""
        total = {"matches": len(self.rows), "page": len(rows), "absent": None}[self.total]
        return PageInfo(rows, total, link)


def read_all(server: Server, page_size: int) -> tuple[set[str], list[int]]:
    """Return the ids that were read, and the number of parallel requests of each round."""
    pager, rounds = Pager({"objectType": "1"}, page_size), []
    requests = pager.first()
    while requests:
        rounds.append(len(requests))
        for params in requests:
            page = server.answer(params)
            new = {str(row) for row in page.ids} - pager.seen_ids
            pager.seen_ids |= new
            pager.add(page, len(new))
        requests = pager.next()
        assert sum(rounds) < 500
    return pager.seen_ids, rounds


@given(
    count=st.integers(0, 90),
    page_size=st.integers(1, 40),
    largest=st.integers(1, 40),
    base=st.sampled_from([0, 1]),
    link=st.sampled_from(["absolute", "foreign", "relative", "query only", "none", "opaque"]),
    total=st.sampled_from(["matches", "page", "absent"]),
)
def test_every_job_is_read_with_each_form_of_paging(
    count: int, page_size: int, largest: int, base: int, link: str, total: str
) -> None:
    server = Server(count, largest, base, link, total)
    result, rounds = read_all(server, page_size)
    assert result == set(server.rows)
    assert sum(rounds) <= count // min(page_size, largest) + 4


@pytest.mark.parametrize("count", [0, 1, 9])
def test_jobs_on_one_page_cost_one_request(count: int) -> None:
    assert read_all(Server(count, 500, 0, "absolute", "matches"), 10)[1] == [1]


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize(("link", "known_after"), [("absolute", 1), ("wrong path", 1), ("none", 2)])
def test_numbered_pages_are_requested_in_parallel(base: int, link: str, known_after: int) -> None:
    result, rounds = read_all(Server(95, 10, base, link, "matches"), 50)
    assert len(result) == 95
    assert rounds[:known_after] == [1] * known_after
    assert max(rounds) >= 7
    assert sum(rounds) <= 11


def test_a_total_justifies_more_pages_as_long_as_pages_hold_jobs() -> None:
    result, rounds = read_all(Server(2_000, 10, 0, "absolute", "matches"), 10)
    assert len(result) == 2_000
    assert rounds == [1, 8, 16, 32, 64, 64, 15]


def test_a_total_of_jobs_that_do_not_exist_costs_few_requests() -> None:
    class Boasting(Server):
        def answer(self, params: Params) -> PageInfo:
            page = super().answer(params)
            return PageInfo(page.ids, 10**18, page.next_link)

    result, rounds = read_all(Boasting(12, 5, 1, "none", "matches"), 5)
    assert (len(result), sum(rounds)) == (12, 11)


@pytest.mark.parametrize(("without_list", "ended"), [(True, False), (False, True)])
def test_a_page_without_a_list_is_no_end_while_a_total_promised_more(without_list: bool, ended: bool) -> None:
    pager = Pager({"objectType": "1"}, 10)
    pager.first()
    for page in (PageInfo(["1", "2"], 5, None), PageInfo([], 0, "", without_list=without_list)):
        pager.seen_ids |= set(page.ids)
        pager.add(page, len(page.ids))
        following = pager.next()
    assert (following, pager.ended) == ([], ended)


@pytest.mark.parametrize(
    ("jobs", "uncut_size", "total", "doubted"),
    [
        (20, 0, None, True),
        (20, 20, None, True),
        (20, 21, None, False),
        (20, 0, 20, True),
        (20, 21, 20, False),
        (21, 0, None, False),
        (500, 600, None, True),
    ],
)
def test_a_page_of_a_usual_size_is_doubted_unless_the_server_has_sent_larger_ones(
    jobs: int, uncut_size: int, total: int | None, doubted: bool
) -> None:
    pager = Pager({"objectType": "1"}, 500, uncut_size)
    pager.first()
    page = PageInfo([str(number) for number in range(jobs)], total, "")
    pager.seen_ids |= set(page.ids)
    pager.add(page, jobs)
    assert (bool(pager.next()), pager.ended) == (doubted, not doubted)


def test_a_link_that_leads_in_a_circle_is_left_for_counting() -> None:
    class Circle(Server):
        def answer(self, params: Params) -> PageInfo:
            page = super().answer(params)
            return PageInfo(page.ids, page.total, "/jobs?pageIndex=1")

    server = Circle(30, 10, 0, "relative", "absent")
    assert read_all(server, 10)[0] == set(server.rows)


def test_an_empty_first_page_that_promises_more_is_followed() -> None:
    pager = Pager({"objectType": "1"}, 10)
    pager.first()
    pager.add(PageInfo([], 3, "/jobs?pageIndex=2"), 0)
    assert [params["pageIndex"] for params in pager.next()] == ["2"]


def test_a_link_to_a_page_of_more_digits_than_python_reads_is_followed_as_it_is() -> None:
    pager, number = Pager({"objectType": "1"}, 10), "9" * 5000
    pager.first()
    pager.add(PageInfo(["1"], 20, f"/jobs?pageIndex={number}"), 1)
    assert [params["pageIndex"] for params in pager.next()] == [number]


def pager_after(
    *pages: PageInfo, first: str | None = None, max_empty_pages: int = pagination.MAX_EMPTY_PAGES
) -> tuple[Pager, list[Params]]:
    """Return a pager that has read pages of ten jobs at most, and the requests that it sends next."""
    pager = Pager({"objectType": "1"}, 10, max_empty_pages=max_empty_pages)
    following = pager.first(first)
    for page in pages:
        new_ids = set(page.ids) - pager.seen_ids
        pager.seen_ids |= new_ids
        pager.add(page, len(new_ids))
        following = pager.next()
    return pager, following


def ten(first: int) -> list[str]:
    return [str(number) for number in range(first, first + 10)]


@pytest.mark.parametrize(
    ("count", "total", "rounds"),
    [(300, "matches", [1, 1, 8, 16, 4]), (23, "absent", [1, 1, 1]), (20, "absent", [1] * 3)],
)
def test_pages_without_links_are_requested_by_number(count: int, total: str, rounds: list[int]) -> None:
    server = Server(count, 10, 0, "none", total)
    assert read_all(server, 10) == (set(server.rows), rounds)


@pytest.mark.parametrize(("digits", "requests"), [(18, 8), (19, 1)])
def test_pages_after_a_number_of_up_to_18_digits_are_requested_in_parallel(digits: int, requests: int) -> None:
    _, following = pager_after(PageInfo(["1"], 20, f"?pageIndex={'9' * digits}"))
    assert len(following) == requests


@pytest.mark.parametrize("link", ["?pageIndex=1&pageSize=11", "?PAGEINDEX=1&PageSize=5", "?pageSize=10"])
def test_a_link_that_differs_from_the_request_by_its_page_size_alone_is_not_followed(link: str) -> None:
    _, following = pager_after(PageInfo(ten(0), None, link), first="1")
    assert following == [{"objectType": "1", "pageSize": "10", "pageIndex": "2"}]


def test_a_list_has_at_most_a_million_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "MAX_JOBS", 10)
    pages = PageInfo(ten(0), None, "?pageIndex=1"), PageInfo(["10"], None, "?pageIndex=2")
    _, following = pager_after(pages[0])
    assert [params["pageIndex"] for params in following] == ["1"]
    with pytest.raises(EndlessListError) as raised:
        pager_after(*pages)
    assert str(raised.value) == (
        "Endless list: the API returned more than 10 jobs in one list, and a further page. Check that base_url is the "
        "API's host."
    )


def test_links_of_empty_pages_are_followed_a_number_of_times() -> None:
    pages = [PageInfo([], None, f"?pageIndex={number}") for number in range(1, 5)]
    assert [params["pageIndex"] for params in pager_after(*pages[:3], max_empty_pages=3)[1]] == ["3"]
    assert pager_after(*pages, max_empty_pages=3)[1] == []


@pytest.mark.parametrize(("link", "ended"), [("", True), (None, False)])
def test_a_full_page_that_comes_again_and_again_is_the_end_if_it_was_announced(link: str | None, ended: bool) -> None:
    pager, following = pager_after(*[PageInfo(ten(0), None, link)] * 3)
    assert (following, pager.ended) == ([], ended)
    assert pager_after(*[PageInfo(ten(0), None, link)] * 2)[1] != []


def test_a_later_page_that_repeats_another_is_the_last_one() -> None:
    first, second = PageInfo(ten(0), None, None), PageInfo(ten(10), None, None)
    assert pager_after(first, second, second)[1] == []


def test_a_page_without_a_list_is_the_end_if_all_promised_jobs_were_read() -> None:
    pages = PageInfo(["1", "2"], 3, None), PageInfo(["3"], None, None), PageInfo([], 0, "", without_list=True)
    pager, following = pager_after(*pages)
    assert (following, pager.ended) == ([], True)
