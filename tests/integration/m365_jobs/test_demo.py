"""Test that the warehouse of the demo holds exactly the rows of its simulator."""

import re
from pathlib import Path

import duckdb
import pytest
from avepoint_simulator import Simulator
from m365_jobs.cli import demo

from tests.support.cli import NewUser
from tests.support.truth import in_warehouse, on_server


def test_the_demo_leaves_what_the_simulator_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    simulator = demo.run_demo(700)
    assert in_warehouse(tmp_path / "m365_warehouse.duckdb", "simulated") == on_server(simulator.world, False)
    message = capsys.readouterr().err
    # A user who compares the two numbers must not miss jobs.
    (messages,) = re.findall(r"A simulated tenant with ([\d,]+) jobs", message)
    assert f"Read {messages} jobs" in message
    assert 600 <= len(simulator.world.all()) <= 700
    assert _tells_the_story(tmp_path / "m365_warehouse.duckdb", message)


def test_the_demo_names_the_extra_that_the_dashboard_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    demo.run_demo(20)
    message = capsys.readouterr().err
    assert "m365-jobs dashboard    (needs the extra reports; in a clone: make setup)" in message
    assert "report.html" not in message


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.usual(1)
def test_the_demo_keeps_a_warehouse_of_another_tenant_whatever_its_jobs_are_called(
    simulator: Simulator, new_user: NewUser, empty: bool
) -> None:
    user = new_user(simulator)
    user.set(tenant="contoso")
    if empty:
        for item in simulator.world.all():
            simulator.world.remove(item.id)
    user.run("load")
    loaded = user.query("SELECT * FROM load_runs")
    message = " ".join(user.run("demo", "--jobs", "20", code=2).stderr.split())
    assert "m365_warehouse.duckdb is in use" in message
    assert user.query("SELECT * FROM load_runs") == loaded


def _tells_the_story(file: Path, message: str) -> bool:
    """Check what the first screen must show: services that are failing, missed, late and running long."""
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("USE m365_jobs")
        statuses = dict(connection.execute("SELECT object_type, status FROM protection_status").fetchall())
        silent = connection.execute(
            "SELECT sum(scheduled), sum(missed), sum(ran) FROM schedule_compliance WHERE object_type = 'power_automate'"
        ).fetchall()
        (scheduled, missed, skipped) = connection.execute(
            "SELECT sum(scheduled), sum(missed), sum(skipped) FROM schedule_compliance"
        ).fetchall()[0]
        changes = connection.execute("SELECT change, old_value, new_value FROM settings_changes ORDER BY 1").fetchall()
        days = connection.execute("SELECT count(*) FROM license_consumption").fetchall()
    expected = {
        "power_automate": "missed",
        "teams": "failing",
        "power_bi": "late",
        "sharepoint_online": "running_long",
        "onedrive": "protected",
    }
    assert {name: statuses[name] for name in expected} == expected
    # Once a day at 01:30 since the first load of the schedule; no backup ever started.
    (due, all_missed, ran), *_ = silent
    assert (due, ran) == (all_missed, 0)
    assert 28 <= due <= 30
    assert missed > all_missed
    assert skipped >= 1
    assert sorted(changes) == [("more_often", "1 a day", "4 a day"), ("shortened", "7 years", "1 years")]
    assert days[0][0] >= 30
    assert f"Backups scheduled in a month: {scheduled}; " in message
    assert "out of policy on 2 days" in message
    return True
