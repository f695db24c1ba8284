"""Readers side by side: who asks what, who gets which answer, and what becomes of errors."""

import threading

import pytest
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import ApiError, SourceError
from avepoint_m365.extract.pool import Answer, Dispatcher, Reader

from tests.support.pages import jobs_page


def answer(params: Params) -> Answer:
    """A page with one job, named after what was asked."""
    return jobs_page([params])


def reader(name: str, rounds: list[int]) -> Reader[list[list[object]]]:
    got = []
    for number, size in enumerate(rounds):
        answers = yield [{"id": f"{name}{number}.{index}"} for index in range(size)]
        got.append([one.page.rows[0] for one in answers])
    return got


def test_each_reader_gets_its_own_answers_in_the_order_of_asking() -> None:
    done: list[list[list[object]]] = []
    results = Dispatcher(answer, 3).run({name: reader(name, [1, 5, 2]) for name in "abcdefgh"}, done.append)
    for name in "abcdefgh":
        assert results[name] == [[f"{name}{n}.{i}" for i in range(size)] for n, size in enumerate([1, 5, 2])]
    assert sorted(done) == sorted(results.values())


def test_as_many_requests_are_under_way_as_may_be_and_no_more() -> None:
    barrier, lock, under_way, most = threading.Barrier(4), threading.Lock(), 0, 0

    def ask(params: Params) -> Answer:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        barrier.wait(10)
        with lock:
            under_way -= 1
        return answer(params)

    Dispatcher(ask, 4).run({name: reader(name, [2, 2]) for name in "ab"})
    assert most == 4


def test_an_error_reaches_the_reader_that_asked_and_only_then_the_caller() -> None:
    def ask(params: Params) -> Answer:
        if params["id"] == "careful":
            raise ApiError("too large")
        return answer(params)

    def careful() -> Reader[str]:
        try:
            yield [{"id": "fine"}, {"id": "careful"}]
        except SourceError as error:
            yield [{"id": "smaller"}]
            return str(error)
        return "nothing happened"

    def careless() -> Reader[str]:
        yield [{"id": "careful"}]
        return "nothing happened"

    assert Dispatcher(ask, 2).run({1: careful()}) == {1: "too large"}
    with pytest.raises(ApiError, match="too large"):
        Dispatcher(ask, 2).run({1: careful(), 2: careless()})
