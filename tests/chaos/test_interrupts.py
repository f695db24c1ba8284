"""Test that a signal ends a load at once, whatever its threads wait for; the next load reads all."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from avepoint_simulator import Answer, Asked, Simulator
from avepoint_simulator.companions import PATHS

from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import NewUser
from tests.support.signals import load_until_signal, query_until_signal, start_command
from tests.support.truth import in_warehouse, on_server

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has another way to interrupt")


def of_companions(asked: Asked) -> bool:
    return asked.path in PATHS


def later_ones(asked: Asked) -> bool:
    """Return whether a request is one of those that listings send in parallel."""
    return "objecttype" in asked.params


@pytest.mark.parametrize("withheld", [of_companions, later_ones])
def test_a_signal_ends_a_load_whose_threads_wait(
    simulator: Simulator, new_user: NewUser, withheld: Callable[[Asked], bool]
) -> None:
    user = new_user(simulator)
    user.set(include="context")
    code, message = load_until_signal(simulator, user, signal.SIGINT, withheld=withheld)
    assert (code, message.splitlines()[-1]) == (130, "Interrupted; the next load continues from there.")
    user.set(include="none")
    user.run("load")
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == {job.id for job in simulator.world.visible()}


@pytest.mark.parametrize(
    ("number", "exit_code", "word"),
    [(signal.SIGINT, 130, "Interrupted"), (getattr(signal, "SIGHUP", None), 129, "Terminated (SIGHUP)")],
)
def test_a_signal_ends_the_loads_of_all_tenants(
    simulator: Simulator, new_user: NewUser, number: signal.Signals, exit_code: int, word: str
) -> None:
    user = new_user(simulator)
    configure(user, "".join(section(f"tenant{number}", simulator) for number in range(3)))
    code, message = load_until_signal(simulator, user, number, "--all-tenants")
    assert (code, message.splitlines()[-1]) == (exit_code, f"{word}; the next load continues from there.")
    user.run("load", "--all-tenants")
    assert user.query("SELECT tenant, count(*) FROM jobs GROUP BY tenant ORDER BY tenant") == [
        (f"tenant{number}", len(simulator.world.visible())) for number in range(3)
    ]


def test_no_request_is_sent_after_a_signal(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    configure(user, "".join(section(f"tenant{number}", simulator, concurrency="1") for number in range(4)))
    interrupted, acknowledged = threading.Event(), threading.Event()
    late: list[str] = []

    def fault(asked: Asked) -> None:
        if interrupted.is_set():
            late.append(asked.path)
        elif len(simulator.asked) >= 20:
            interrupted.set()
            load.send_signal(signal.SIGINT)
            # One request at a time: it is in progress when the load receives the signal.
            assert acknowledged.wait(60)

    simulator.fault = fault
    load = start_command(user, "load", "--all-tenants")
    assert load.stderr is not None
    message = load.stderr.readline()
    while "Interrupted" not in message:
        message = load.stderr.readline()
        assert message, "it ended without a word"
    acknowledged.set()
    message += load.communicate(timeout=60)[1]
    assert message.endswith("Interrupted; the next load continues from there.\n")
    assert (load.returncode, late) == (130, [])
    simulator.fault = None
    user.run("load", "--all-tenants")
    truth = on_server(simulator.world, False)
    for number in range(4):
        assert in_warehouse(user.folder / "m365_warehouse.duckdb", f"tenant{number}") == truth


def test_a_signal_does_not_hide_the_tenants_that_had_failed(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    refused = section("first", simulator).replace(simulator.client_secret, "wrong")
    configure(user, refused + section("second", simulator) + section("third", simulator))
    code, message = load_until_signal(simulator, user, signal.SIGTERM, "--all-tenants", "--parallel-tenants", "1")
    assert code == 143
    assert "first: failed (auth): " in message
    assert "0 of 3 tenants loaded, 0 of them incomplete, 1 failed, 2 interrupted: 0 jobs new" in message
    assert message.splitlines()[-1] == "Terminated (SIGTERM); the next load continues from there."


@pytest.mark.parametrize("status", [401, 400])
def test_a_failure_of_the_jobs_does_not_wait_for_companions(
    simulator: Simulator, new_user: NewUser, status: int
) -> None:
    user, begun, ended = new_user(simulator), threading.Event(), threading.Event()
    user.set(include="context")

    def fault(asked: Asked) -> Answer | None:
        if of_companions(asked):
            begun.set()
            ended.wait(150)
            return None
        begun.wait(60)
        return Answer(status)

    simulator.fault = fault
    try:
        message = user.run_process("load", code=1).stderr
    finally:
        ended.set()
    assert message.splitlines()[-1].startswith("Error (")
    simulator.fault = None
    user.set(include="none")
    user.run("load")
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == {job.id for job in simulator.world.visible()}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at the process in /proc")
def test_a_signal_ends_a_query_without_an_end(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    endless = "SELECT count(*) FROM range(10000000) AS a, range(10000000) AS b WHERE a.range * 7 + b.range < 0"
    # DuckDB alone overlooks about half of the signals.
    for _ in range(2):
        assert query_until_signal(user, endless, signal.SIGINT) == (130, "Interrupted.\n")
        assert query_until_signal(user, endless, signal.SIGTERM) == (143, "Terminated (SIGTERM).\n")
