"""Test how results of threads are waited for."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from avepoint_m365.futures import results_as_completed, results_in_order


def test_the_earliest_result_comes_first() -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        results = results_as_completed([pool.submit(gate.wait, 30), pool.submit(lambda: False)])
        assert next(results) is False
        gate.set()
        assert list(results) == [True]


@pytest.mark.parametrize("wait_for", [results_as_completed, results_in_order])
def test_a_caller_that_ends_early_starts_no_further_work(
    wait_for: Callable[[Sequence[Future[bool]]], Iterator[bool]],
) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(work) for work in (lambda: True, gate.wait, gate.is_set)]
        results = wait_for(futures)
        assert next(results)
        results.close()  # type: ignore[attr-defined]
        gate.set()
    assert futures[-1].cancelled()
