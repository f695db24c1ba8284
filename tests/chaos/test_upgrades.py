"""Test that warehouses of older versions accept further loads, and that those of newer versions are refused."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest
from avepoint_simulator import Simulator
from deltalake import DeltaTable
from m365_jobs.health.alerts.store import alert_file
from m365_jobs.warehouse.target import fingerprint

from tests.support.cli import Cli, NewUser
from tests.support.driven_clock import DrivenClock
from tests.support.receivers import http_receiver
from tests.support.truth import on_server
from tests.support.upgrades import FIXTURES, KINDS, Past, move, past, restore
from tests.support.warehouse import Warehouse, database

VERSIONS = sorted(folder.name for folder in FIXTURES.iterdir())
FIRST_LOAD = 20
"""The fewest requests for jobs in a first load of this tenant."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=VERSIONS)
def upgraded(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Past]:
    """Return a machine with the files of an older version, five hours after its last load."""
    with ExitStack() as stack:
        clock = stack.enter_context(DrivenClock())
        first = stack.enter_context(past(tmp_path / "machine", kind, clock))
        first.relive()
        restore(first, FIXTURES / request.param / f"{kind}.tar.xz")
        for name, value in first.user.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(first.user.folder)
        move(first, fingerprint(Warehouse(kind).pipeline()))
        first.wait(5)
        yield first


def test_a_warehouse_of_an_older_version_is_loaded_on_without_reading_all_again(upgraded: Past, kind: str) -> None:
    place, user = Warehouse(kind), upgraded.user
    before = place.contents()
    upgraded.simulator.asked.clear()
    message = user.run("load").stderr
    assert "again" not in message
    assert len([asked for asked in upgraded.simulator.asked if asked.path.endswith("jobs")]) < FIRST_LOAD / 2
    assert place.contents() == on_server(upgraded.world, False)
    assert before != place.contents()
    runs = "SELECT status, count(*) FROM load_runs GROUP BY 1 ORDER BY 1"
    assert place.rows(runs) == [("complete", 4), ("failed", 1)]
    assert place.rows("SELECT count(*) FROM backup_schedules")[0][0] > 0
    states = {row["object_type"] for row in json.loads(user.run("status", "--format", "json").stdout)["partitions"]}
    assert states == {row[0] for row in place.rows("SELECT DISTINCT object_type FROM protection_status")} | {"teams"}


def test_every_table_of_an_older_version_is_written(upgraded: Past, kind: str) -> None:
    """Test a load with the comparison of each day, and ``verify``, which write rows of the tables that changed."""
    place, user = Warehouse(kind), upgraded.user
    user.run("load")
    upgraded.wait(24)
    user.run("load")
    user.run("verify")
    assert place.contents() == on_server(upgraded.world, False)
    kinds = [row[0] for row in place.rows("SELECT DISTINCT kind FROM reconciliations ORDER BY 1")]
    assert kinds == ["daily", "verify"]


@pytest.mark.parametrize("kind", ["duckdb"], indirect=True)
def test_what_an_older_version_could_not_send_is_sent(upgraded: Past) -> None:
    with http_receiver() as slack:
        upgraded.user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = slack.url
        upgraded.user.run("load")
        upgraded.user.run("health", "--slack", code=4)
        first = slack.lines()
        assert first[0] == "*Microsoft 365 backups: UNHEALTHY*"
        assert len(first) > 3
        sent = len(slack.messages)
        upgraded.user.run("health", "--slack", code=4)
        assert len(slack.messages) == sent


@pytest.fixture
def user(simulator: Simulator, new_user: NewUser, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Return a user with a loaded warehouse of each kind."""
    user = new_user(simulator)
    user.environment |= {"DESTINATION_TYPE": kind, "DESTINATION__FILESYSTEM__BUCKET_URL": "lake"}
    with ExitStack() as stack:
        if kind == "postgres":
            user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = stack.enter_context(database())
        user.run("load")
        for name, value in user.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(user.folder)
        yield user


def loaded_by(kind: str, version: str) -> None:
    """Mark the warehouse as loaded by another version."""
    if kind == "duckdb":
        with duckdb.connect("m365_warehouse.duckdb") as connection:
            connection.execute("UPDATE m365_jobs.load_runs SET product_version = ?", [version])
    elif kind == "postgres":
        with Warehouse(kind).pipeline().sql_client() as client:
            client.execute_sql("UPDATE m365_jobs.load_runs SET product_version = %s", version)
    else:
        DeltaTable("lake/m365_jobs/load_runs").update(new_values={"product_version": version})


def test_a_warehouse_of_a_newer_version_is_refused_by_loads_and_readers(
    user: Cli, simulator: Simulator, kind: str
) -> None:
    rows = "SELECT (SELECT count(*) FROM load_runs), (SELECT count(*) FROM load_audit), (SELECT count(*) FROM jobs)"
    before = Warehouse(kind).rows(rows)
    loaded_by(kind, "99.0.1")
    simulator.asked.clear()
    commands: list[Any] = [
        ("load",),
        ("load", "--since", "2020-01-01"),
        ("status",),
        ("health",),
        ("query", "SELECT 1"),
    ]
    if kind == "duckdb":
        commands.append(("copy", "--destination", "filesystem"))
        user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = "lake"
    for command in commands:
        message = user.run(*command, code=1).stderr
        line = message.strip().splitlines()[-1]
        assert "The warehouse was loaded by m365-jobs 99.0.1, and this is " in message, command
        assert "Install 99.0.1 or newer" in line, command
    assert [asked for asked in simulator.asked if "jobs" in asked.path] == []
    loaded_by(kind, "0.1.99")
    assert Warehouse(kind).rows(rows) == before
    user.run("load")


@pytest.mark.parametrize("kind", ["duckdb"], indirect=True)
def test_an_alert_file_of_a_newer_version_is_refused(user: Cli, kind: str) -> None:
    user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = "http://127.0.0.1:9/T0"
    user.run("health", "--slack", code=1)
    connection = sqlite3.connect(alert_file(Warehouse(kind).pipeline()))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for arguments in (("health", "--slack"), ("alerts",)):
        assert "A newer version of m365-jobs wrote the alert file" in user.run(*arguments, code=1).stderr
