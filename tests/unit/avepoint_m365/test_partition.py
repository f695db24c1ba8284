"""A partition against servers that spell paging in every way the documentation leaves open, without any network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import EndpointMissingError, RefusedParametersError
from avepoint_m365.extract.listing import Partition, PartitionReader, PartitionResult, Window
from avepoint_m365.extract.pool import Answer, Reader
from avepoint_m365.settings import JobType, ObjectType
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.pages import jobs_page

DAY = datetime(2026, 1, 1, tzinfo=UTC)
PARTITION = Partition(None, ObjectType.teams, Window(DAY, DAY, DAY))


@dataclass
class Server:
    """One way to read the documentation. Jobs are numbered; every third is no backup."""

    count: int = 0
    most: int = 500
    """Jobs on a page at most."""
    first: str = "0"
    """What a missing pageIndex means: 0 or 1 (the number of the first page), "required", "empty" (0, where pages are
    numbered from 1)."""
    stride: str = "given"
    """Whether pages are cut by the size that is given or by the one that was asked for."""
    total: str = "matches"
    link: str = "index"
    refuses_over: int = 10_000
    dates_only: bool = False
    beyond: str = "empty"
    """What comes of a page after the last: empty, with a total of 0 ("nothing"), refused, or refused like any after the
    first ("all refused")."""
    errors: int = 0
    """How many answers speak of an error beside their jobs; the first ones."""
    asked: list[Params] = field(default_factory=list)
    ids: list[int] | None = None

    def jobs(self, params: Params) -> list[int]:
        job_type = int(params["jobType"])
        ids = list(range(self.count)) if self.ids is None else self.ids
        return [one for one in ids if job_type in (0, 1 if one % 3 else 2)]

    def answer(self, params: Params) -> Answer:
        self.asked.append(params)
        jobs, asked = self.jobs(params), int(params["pageSize"])
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
        }[self.total]
        follow = index + base + 1
        link = {
            "index": f"https://host/jobs?pageIndex={follow}&pageSize={asked}",
            "endless": f"https://host/jobs?pageIndex={follow}&pageSize={asked}",
            "token": f"?skipToken={follow}",
            "opaque": "b2gh==",
            "circle": f"/jobs?pageIndex={base}&pageSize={asked}",
            "none": None,
        }[self.link]
        raw = [{"id": str(one), "state": "Finished"} for one in rows]
        said = "EUR is down" if len(self.asked) <= self.errors else ""
        if index > 0 and not rows and self.beyond == "nothing":
            total = 0
        leads_on = more or (self.link == "endless" and bool(rows))
        return jobs_page(raw, total, link if leads_on or link is None else "", said, seen_at=len(self.asked))


def run(server: Server, reader: Reader[Any]) -> Any:
    """Drives a reader without threads."""
    requests = next(reader)
    while len(server.asked) < 3000:
        try:
            try:
                answers = [server.answer(params) for params in requests]
            except (RefusedParametersError, EndpointMissingError) as error:
                requests = reader.throw(error)
            else:
                requests = reader.send(answers)
        except StopIteration as end:
            return end.value
    raise AssertionError("it does not end")


def side_by_side(server: Server, readers: Sequence[Reader[Any]]) -> list[Any]:
    """Drives readers in turns: each asks once before the first is answered, and so on."""
    requests, results = {index: next(reader) for index, reader in enumerate(readers)}, dict[int, Any]()
    while requests and len(server.asked) < 3000:
        answers: dict[int, list[Answer] | RefusedParametersError] = {}
        for index, asked in requests.items():
            try:
                answers[index] = [server.answer(params) for params in asked]
            except RefusedParametersError as error:
                answers[index] = error
        for index, answer in answers.items():
            reader = readers[index]
            try:
                requests[index] = reader.throw(answer) if isinstance(answer, Exception) else reader.send(answer)
            except StopIteration as end:
                results[index] = end.value
                del requests[index]
    return [results[index] for index in range(len(readers))]


def read(server: Server, page_size: int = 500, split: bool = True) -> PartitionResult:
    result: PartitionResult = run(server, PartitionReader(page_size, split).read(PARTITION))
    return result


def assert_all_is_there(result: PartitionResult, server: Server) -> None:
    expected = {str(one) for one in server.jobs({"jobType": "0"})}
    assert sorted(result.jobs["id"].to_pylist()) == sorted(expected)
    assert result.job_types == {one: JobType.backup if int(one) % 3 else JobType.restore for one in expected}
    assert result.complete


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
def test_every_job_is_found_with_its_type_however_pages_are_spelled(server: Server, page_size: int) -> None:
    # A link to a page that is refused then is an error, as below.
    if server.link == "endless" and server.beyond == "refused":
        server.link = "index"
    # A total of 0 on an empty page is taken at its word.
    if server.first == "empty" and server.total in ("zero", "page", "first"):
        server.first = "1"
    assert_all_is_there(read(server, page_size), server)


@pytest.mark.parametrize("total", ["matches", "page", "absent"])
def test_partitions_that_are_read_side_by_side_all_learn_what_size_of_pages_is_given(total: str) -> None:
    server = Server(137, 20, stride="asked", total=total)
    reader = PartitionReader(500, split_job_types=False)
    for result in side_by_side(server, [reader.read(PARTITION) for _ in range(3)]):
        assert sorted(map(int, result.jobs["id"].to_pylist())) == list(range(137))
        assert result.complete


def test_a_first_page_that_needs_a_number_and_is_not_found_under_0_is_asked_for_as_1() -> None:
    class Strict(Server):
        def answer(self, params: Params) -> Answer:
            if params.get("pageIndex") == "0":
                raise EndpointMissingError("no such page")
            return super().answer(params)

    server = Strict(20, first="required")
    assert_all_is_there(read(server), server)


@pytest.mark.parametrize(("total", "link"), [("page", "endless"), ("too many", "none")])
def test_a_last_page_that_is_said_to_have_another_does_not_tell_what_size_of_pages_is_given(
    total: str, link: str
) -> None:
    small, large = Server(2, total=total, link=link), Server(1234, total=total, link=link)
    reader = PartitionReader(500, split_job_types=False)
    for server in (small, large):
        assert run(server, reader.read(PARTITION)).jobs.num_rows == server.count
    assert {one["pageSize"] for one in large.asked} == {"500"}


def test_where_only_dates_are_taken_the_range_is_whole_days_around_what_was_asked() -> None:
    server = Server(5, dates_only=True)
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    reader = PartitionReader(500, split_job_types=False)
    run(server, reader.read(Partition(None, None, Window(noon, noon, noon))))
    assert (server.asked[-1]["startTime"], server.asked[-1]["finishTime"]) == ("2026-01-05", "2026-01-06")


def test_partitions_that_are_read_side_by_side_all_learn_that_only_dates_are_taken() -> None:
    server = Server(30, dates_only=True)
    reader = PartitionReader(500, split_job_types=False)
    for result in side_by_side(server, [reader.read(PARTITION) for _ in range(3)]):
        assert sorted(map(int, result.jobs["id"].to_pylist())) == list(range(30))
        assert result.complete


def test_a_request_that_is_refused_whatever_is_tried_is_an_error() -> None:
    with pytest.raises(RefusedParametersError):
        read(Server(5, refuses_over=0))


@pytest.mark.parametrize(("total", "link"), [("matches", "none"), ("absent", "opaque"), ("absent", "index")])
def test_a_page_that_is_refused_although_the_api_speaks_of_it_is_an_error(total: str, link: str) -> None:
    with pytest.raises(RefusedParametersError):
        read(Server(40, 20, total=total, link=link, beyond="all refused"))


@pytest.mark.parametrize("total", ["matches", "absent"])
@pytest.mark.parametrize("link", ["index", "none"])
def test_a_server_that_shows_its_first_page_over_and_over_is_never_called_complete(link: str, total: str) -> None:
    class Stuck(Server):
        def answer(self, params: Params) -> Answer:
            return super().answer({name: value for name, value in params.items() if name != "pageIndex"})

    assert not read(Stuck(137, 20, total=total, link=link)).complete


def test_empty_pages_on_the_way_are_passed_where_a_link_leads_on() -> None:
    class Filtering(Server):
        """Leaves jobs out after it has cut its pages."""

        def answer(self, params: Params) -> Answer:
            answer = super().answer(params)
            if not 20 <= int((answer.page.rows or [0])[0]) < 60:
                return answer
            return jobs_page([], None, answer.page.next_link)

    result = read(Filtering(137, 20, total="absent"), split=False)
    assert sorted(map(int, result.jobs["id"].to_pylist())) == [*range(20), *range(60, 137)]
    assert result.complete


def test_no_jobs_beside_a_total_that_promises_some_is_not_complete() -> None:
    class Hiding(Server):
        def answer(self, params: Params) -> Answer:
            return jobs_page([], 137, "")

    assert not read(Hiding()).complete
    assert not run(Hiding(), PartitionReader(500, split_job_types=True).peek(PARTITION)).complete


@pytest.mark.parametrize("count", [0, 5, 40])
def test_a_listing_whose_answers_speak_of_errors_is_not_complete(count: int) -> None:
    result = read(Server(count, 20, errors=1000))
    assert result.jobs.num_rows == count
    assert not any(one.complete for one in result.listings)
    assert {one.errors for one in result.listings} == {"EUR is down"}
    assert not run(Server(count, 20, errors=1000), PartitionReader(20, True).peek(PARTITION)).complete


@pytest.mark.parametrize("count", [5, 40])
def test_a_listing_is_complete_once_its_answers_speak_of_no_error(count: int) -> None:
    server = Server(count, 20, errors=1)
    assert_all_is_there(read(server), server)


def test_a_gap_between_pages_is_never_called_complete() -> None:
    result = read(Server(137, 20, stride="asked", link="index"))
    assert not result.complete or result.jobs.num_rows == 137


@pytest.mark.parametrize("count", [0, 1, 499])
def test_jobs_that_fit_on_one_page_cost_one_request_for_all_and_few_for_the_types(count: int) -> None:
    server = Server(count)
    assert_all_is_there(read(server), server)
    assert [one["jobType"] for one in server.asked] == {0: ["0"], 1: ["0", "1", "2"]}.get(count, ["0", "1", "2"])


def test_a_large_partition_is_read_once_by_type_and_reconciled_with_the_total_of_all() -> None:
    server = Server(3000)
    assert_all_is_there(read(server), server)
    pages = [int(one["jobType"]) for one in server.asked]
    # The first page of all before and after; each type's pages and its first page again.
    assert {kind: pages.count(kind) for kind in set(pages)} == {0: 2, 1: 4 + 1, 2: 2 + 1}


def test_jobs_of_a_type_that_nobody_knows_are_found_without_one() -> None:
    class Newer(Server):
        def jobs(self, params: Params) -> list[int]:
            return [one for one in super().jobs(params) if params["jobType"] == "0" or one % 10]

    result = read(Newer(1234))
    assert len(result.jobs) == 1234
    assert {str(one) for one in range(1234)} - result.job_types.keys() == {str(one) for one in range(0, 1234, 10)}
    assert result.complete


@pytest.mark.parametrize("count", [50, 1234])
def test_a_job_that_goes_before_its_type_was_read_keeps_the_type_that_the_warehouse_knows(count: int) -> None:
    class Losing(Server):
        def answer(self, params: Params) -> Answer:
            if params["jobType"] != "0":
                self.ids = list(range(1, count))
            return super().answer(params)

    result = read(Losing(count))
    # Its row would say that the type is unknown.
    assert set(result.jobs["id"].to_pylist()) == {str(one) for one in range(1, count)} == result.job_types.keys()
    assert result.complete


def test_a_job_that_comes_between_the_listing_of_its_type_and_that_of_all_has_its_type() -> None:
    class Growing(Server):
        def answer(self, params: Params) -> Answer:
            if params["jobType"] == "2":
                self.ids = list(range(self.count + 1))
            return super().answer(params)

    server = Growing(100, most=20)
    assert_all_is_there(read(server), server)


def test_a_job_that_pages_which_moved_hid_from_its_type_is_looked_for_again() -> None:
    """Without totals, a job that goes from a page that was read takes another from the next to it; page one, read again
    at the end, is as it was."""

    class Losing(Server):
        def answer(self, params: Params) -> Answer:
            if params["jobType"] == "1" and params.get("pageIndex") == "2" and self.ids is None:
                gone = [one for one in range(self.count) if one % 3][25]
                self.ids = [one for one in range(self.count) if one != gone]
            return super().answer(params)

    server = Losing(100, most=20, total="absent")
    result = read(server)
    assert result.job_types.keys() >= {str(one) for one in server.jobs({"jobType": "0"})}
    assert result.complete


def test_jobs_of_a_type_that_nobody_knows_are_looked_for_again_in_one_partition_alone() -> None:
    class Newer(Server):
        def jobs(self, params: Params) -> list[int]:
            return [one for one in super().jobs(params) if params["jobType"] == "0" or one % 10]

    server, reader = Newer(100), PartitionReader(500, split_job_types=True)
    for types in (10, 5):
        server.asked.clear()
        run(server, reader.read(PARTITION))
        assert len([one for one in server.asked if one["jobType"] != "0"]) == types


def test_a_list_of_all_that_lacks_a_job_of_its_types_is_not_complete() -> None:
    class Lying(Server):
        def jobs(self, params: Params) -> list[int]:
            return super().jobs(params)[: 20 if params["jobType"] == "0" else None]

    result = read(Lying(30, total="page", link="index"))
    assert len(result.jobs) == 30
    assert not result.complete


def test_the_page_size_that_the_api_takes_is_kept() -> None:
    server = Server(100, refuses_over=60)
    reader = PartitionReader(500, split_job_types=False)
    run(server, reader.read(PARTITION))
    server.asked.clear()
    run(server, reader.read(PARTITION))
    assert {one["pageSize"] for one in server.asked} == {"31"}


@pytest.mark.parametrize("newest_first", [True, False])
@given(st.data())
def test_no_job_that_is_there_all_the_time_is_missed_while_pages_move(newest_first: bool, data: st.DataObject) -> None:
    """Jobs appear at the new end or are removed anywhere, between any two requests: a job that stayed is only missing
    where the listing is not called complete. (That one appears and another goes between the same two requests cannot
    be seen from outside, as docs/decisions.md says.)"""

    class Moving(Server):
        def answer(self, params: Params) -> Answer:
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
    result = read(server, 8, split=False)
    missing = {str(one) for one in stayed} - set(result.jobs["id"].to_pylist())
    if missing:
        assert not result.complete
