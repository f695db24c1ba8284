"""Test companions from the command line: the option and key `include`, missing permissions, and requests per load."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from avepoint_simulator import SCOPES, Simulator, make_world
from avepoint_simulator.companions import PATHS, make_companions
from avepoint_simulator.faults import Answer, Asked

from tests.support.cli import NOW, Cli, make_user

SETTINGS = "microsoft365backup.settings.read.all"
ALL = {"licenses", "unusual_activity", "schedule", "retention"}
LOADED = "SELECT DISTINCT companion FROM companion_loads WHERE status = 'loaded'"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(make_world(60, seed=7, now=NOW), companions=make_companions(NOW)) as running:
        yield running


@pytest.fixture
def user(simulator: Simulator, tmp_path: Path) -> Cli:
    return make_user(tmp_path, simulator)


def companion_requests(simulator: Simulator) -> Counter[str]:
    return Counter(asked.path for asked in simulator.asked if asked.path in PATHS)


def rows_of(user: Cli, sql: str) -> set[Any]:
    return {row[0] for row in user.query(sql)}


def test_include_context_asks_all_companions_and_the_next_load_of_the_day_one_request(
    simulator: Simulator, user: Cli
) -> None:
    user.run("load", "--include", "context")
    assert rows_of(user, LOADED) == ALL
    assert len(companion_requests(simulator)) == 4
    first = len(simulator.asked)
    user.run("load", "--include", "context")
    assert len(simulator.asked) - first == 1
    assert [row[0] for row in user.query("SELECT requests FROM load_runs ORDER BY started_at")][1] == 1 + 1, (
        "a request, and one for the token"
    )


def test_companions_of_each_location_and_jobs_are_in_flight_at_once(simulator: Simulator, user: Cli) -> None:
    user.set(include="context", locations='["NAM", "EUR"]')
    together = Barrier(2 * len(ALL) + 1, timeout=60)
    met: set[tuple[str, str | None]] = set()

    def hold(asked: Asked) -> Answer | None:
        """Hold the first request for each companion and location, and the first one for jobs, until all are there."""
        key = (asked.path, asked.params.get("location")) if asked.path in PATHS else ("jobs", None)
        if key not in met:
            met.add(key)
            try:
                together.wait()
            except BrokenBarrierError:
                return Answer(500)
        return None

    simulator.fault = hold
    user.set(concurrency="16")
    user.run("load")
    assert not together.broken
    assert rows_of(user, LOADED) == ALL


def test_a_concurrency_of_one_sends_one_request_at_a_time(simulator: Simulator, user: Cli) -> None:
    user.set(include="context", concurrency="1")
    user.run("load")
    assert rows_of(user, LOADED) == ALL
    assert simulator.most_in_flight == 1
    companions = [asked.path for asked in simulator.asked if asked.path in PATHS]
    assert simulator.asked[: len(companions)] == [asked for asked in simulator.asked if asked.path in PATHS]


@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.usual(1)
def test_companions_are_chosen_by_name(simulator: Simulator, user: Cli, how: str) -> None:
    arguments: tuple[str, ...] = ()
    if how == "option":
        arguments = ("--include", "licenses", "--include", "schedule")
    else:
        user.set(include='["licenses", "schedule"]')
    user.run("load", *arguments)
    assert rows_of(user, LOADED) == {"licenses", "schedule"}
    assert sum(companion_requests(simulator).values()) == 2


def test_a_missing_permission_is_named_once_by_load_status_and_check(simulator: Simulator, user: Cli) -> None:
    simulator.scopes = tuple(scope for scope in SCOPES if scope != SETTINGS)
    user.set(include="auto")
    message = user.run("load").stderr
    assert message.count("skipped: ") == 1
    assert "companions schedule, retention skipped: " in message
    shown = " ".join(user.run("status").stdout.split())
    assert f"Skipped: retention, schedule: permission {SETTINGS} is missing." in shown
    assert shown.count(SETTINGS) == 1
    result = json.loads(user.run("status", "--format", "json").stdout)["companions"]
    assert [(row["companion"], row["status"], row["permission"]) for row in result] == [
        ("retention", "permission_missing", SETTINGS),
        ("schedule", "permission_missing", SETTINGS),
    ]
    checked = user.run("check").stdout
    assert checked.count("skipped by loads: ") == 1
    assert "ok    companions schedule, retention: skipped by loads: " in checked
    assert SETTINGS not in user.run("load").stderr


def test_a_companion_that_is_named_and_fails_makes_the_load_incomplete(simulator: Simulator, user: Cli) -> None:
    simulator.scopes = tuple(scope for scope in SCOPES if scope != SETTINGS)
    assert SETTINGS in user.run("load", "--include", "schedule", code=3).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--include", "licences"), "licenses"),
        (("--include", "context", "--since", "2026-01-01"), "a backfill asks for jobs alone"),
    ],
)
def test_what_cannot_be_included_is_wrong_usage(
    simulator: Simulator, user: Cli, arguments: tuple[str, ...], words: str
) -> None:
    assert words in " ".join(user.run("load", *arguments, code=2).stderr.split())
    assert simulator.asked == []


def test_a_warehouse_that_begins_with_a_backfill_has_all_views(simulator: Simulator, user: Cli) -> None:
    user.set(include="context")
    user.run("load", "--since", f"{NOW - timedelta(days=5):%Y-%m-%d}")
    assert companion_requests(simulator) == Counter()
    assert rows_of(user, "SELECT object_type FROM protection_status") >= {"exchange_online"}
    assert user.query("SELECT count(*) FROM schedule_compliance") == [(0,)]
