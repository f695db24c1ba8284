"""Test each network or server fault at one request of a load; ``tests/chaos/test_fault_matrix.py`` tests all."""

import re
from pathlib import Path

import pytest

from tests.support.fault_cases import ATTEMPTS, REQUESTS, case, check_end, check_recovery
from tests.support.hostile import NETWORK, REPEATED, TIMED, EachOnce, at, staying, staying_deep

SENT_AND_REPEATED = [kind for kind in REPEATED if kind not in (*NETWORK, *TIMED)]


def test_each_request_fails_once_with_a_different_fault_and_all_jobs_are_loaded(tmp_path: Path) -> None:
    assert len(SENT_AND_REPEATED) <= REQUESTS
    with case(tmp_path) as hit:
        ended = hit.load_with(EachOnce(*SENT_AND_REPEATED))
        assert (ended.exit_code, ended.requests, len(ended.waited)) == (0, 2 * REQUESTS, REQUESTS), ended.messages
        assert hit.contents() == hit.shown()
        check_recovery(hit)


def test_each_connection_fails_once_with_a_different_fault_and_all_jobs_are_loaded(tmp_path: Path) -> None:
    with case(tmp_path, tls=True) as hit:
        ended = hit.load_with(EachOnce(*NETWORK), network=True)
        assert (ended.exit_code, ended.requests, len(ended.waited)) == (0, REQUESTS, REQUESTS), ended.messages
        assert hit.contents() == hit.shown()


def test_endless_responses_are_abandoned_and_retried(tmp_path: Path) -> None:
    plans = [at(kind, number) for kind, number in zip(TIMED, (3, 8, 13, 17, 20), strict=True)]
    with case(tmp_path) as hit:
        ended = hit.load_with(lambda asked: next(filter(None, (plan(asked) for plan in plans)), None), timeout=1.0)
        assert ended.exit_code == 0, ended.messages
        assert hit.contents() == hit.shown()


@pytest.mark.usual(3)
@pytest.mark.parametrize(
    ("kind", "number", "exit_code"),
    [
        ("204", 16, 0),
        ("null instead of jobs", 22, 0),
        ("401", 3, 3),
        ("204", 21, 0),
        ("403", 22, 3),
        ("418", 19, 1),
        ("decompression bomb", 20, 0),
        ("redirect", 20, 1),
    ],
)
def test_a_fault_after_which_a_request_is_not_simply_repeated(
    tmp_path: Path, kind: str, number: int, exit_code: int
) -> None:
    with case(tmp_path) as hit:
        ended = hit.load_with(at(kind, number))
        check_end(ended)
        assert ended.exit_code == exit_code, ended.messages
        if not exit_code:
            assert hit.contents() == hit.shown()
        check_recovery(hit)


@pytest.mark.usual(1)
@pytest.mark.parametrize("status", ["400", "500", "504"])
def test_a_lasting_fault_of_an_object_type_does_not_stop_the_others(tmp_path: Path, status: str) -> None:
    with case(tmp_path) as hit:
        ended = hit.load_with(staying(status, objecttype="7"))
        assert ended.exit_code == 3, ended.messages
        assert re.search(
            rf"^Not proved complete: .*teams.*: 0 jobs found, \? reported; GET .* {status}", ended.messages, re.M
        ), ended.messages
        assert ended.requests <= REQUESTS + 12 * ATTEMPTS
        loaded, shown = hit.contents(), hit.shown()
        assert set(loaded) == {job for job in shown if shown[job][1] == "exchange_online"}
        check_recovery(hit)


@pytest.mark.usual(1)
@pytest.mark.parametrize("kind", ["204", "null instead of jobs", "400", "504"])
def test_a_lasting_fault_of_a_job_type_is_reported_and_the_next_load_labels_its_jobs(tmp_path: Path, kind: str) -> None:
    with case(tmp_path) as hit:
        ended = hit.load_with(staying(kind, jobtype="1"))
        assert ended.exit_code == 3, ended.messages
        assert re.search(r"^Not proved complete: backup: 0 jobs found", ended.messages, re.M), ended.messages
        assert set(hit.contents()) == set(hit.shown())
        check_recovery(hit)


def test_a_lasting_empty_response_is_accepted_and_reconciled_a_day_later(tmp_path: Path) -> None:
    """Test pages of five jobs: some totals equal a full page, and do not show that more jobs follow."""
    with case(tmp_path) as hit:
        hit.user.set(page_size="5")
        ended = hit.load_with(staying("204", objecttype="7"))
        assert ended.exit_code == 0, ended.messages
        assert set(hit.contents()) < set(hit.shown())
        check_recovery(hit)


@pytest.mark.usual(1)
@pytest.mark.parametrize("kind", ["204", "400", "504"])
def test_a_lasting_fault_of_all_later_pages_loses_no_job(tmp_path: Path, kind: str) -> None:
    with case(tmp_path) as hit:
        hit.user.set(page_size="5", include="none")
        ended = hit.load_with(staying_deep(kind))
        assert ended.exit_code == 3 or (ended.exit_code, hit.contents()) == (0, hit.shown()), ended.messages
        # The load shortens the ranges until each fits on a page.
        assert ended.requests < 1_000
        hit.user.set(include="context")
        check_recovery(hit)
