"""Test that the first rows of a tenant are appended, and that an interrupted load leaves no row twice."""

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import dlt
import pytest
from avepoint_m365 import Progress
from avepoint_simulator import Simulator, World, make_world
from m365_jobs.load.options import LoadOptions
from m365_jobs.load.run import load

from tests.support.cli import NOW
from tests.support.kill_at_step import load_in_child
from tests.support.truth import in_warehouse, on_server
from tests.support.worlds import settings

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which Windows does not have")

FILE = "m365_warehouse.duckdb"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(avepoint_m365, "_now", lambda: NOW)
    return make_world(40, seed=3, now=NOW, days=5)


def options(simulator: Simulator, **more: Any) -> LoadOptions:
    return LoadOptions(source=settings(simulator, include="none"), **more)


@pytest.mark.usual(1)
@pytest.mark.parametrize("machine", ["same", "another"])
@pytest.mark.parametrize("table", ["jobs", "jobs__backup_details", "jobs__job_errors"])
def test_a_first_load_that_is_killed_while_it_writes_leaves_nothing_twice(
    tmp_path: Path, world: World, table: str, machine: str
) -> None:
    with Simulator(world) as simulator:
        insertion = f'INSERT INTO "m365_jobs"."{table}"'
        assert load_in_child(tmp_path, options(simulator), kill_before=insertion).code is None
        if machine == "another":
            shutil.rmtree(tmp_path / "dlt")
        after = load_in_child(tmp_path, options(simulator))
        assert after.code == 0, after.messages
        again = "An earlier load was interrupted while it wrote; reading that again."
        assert (again in after.messages) == (machine == "same")
        assert in_warehouse(tmp_path / FILE) == on_server(world, False)


@pytest.mark.usual(1)
@pytest.mark.parametrize("days", [None, 1], ids=["whole", "backfill"])
def test_two_machines_that_begin_the_first_load_of_a_tenant_at_once_leave_no_job_twice(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, days: int | None
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    extract, messages = dlt.Pipeline.extract, list[str]()
    since = days and NOW - timedelta(days)

    def overtaken(pipeline: dlt.Pipeline, *given: Any, **named: Any) -> Any:
        monkeypatch.setattr(dlt.Pipeline, "extract", extract)
        done = extract(pipeline, *given, **named)
        other = load_in_child(tmp_path / "other", options(simulator, file=tmp_path / FILE))
        assert other.code == 0, other.messages
        return done

    monkeypatch.setattr(dlt.Pipeline, "extract", overtaken)
    with Simulator(world) as simulator:
        summary = load(options(simulator, since=since), Progress(), messages.append)
        assert messages == ["Another load has written the first jobs of the tenant meanwhile; reading again."]
        assert (summary.new, summary.exit_code) == (0, 0)
        assert in_warehouse(tmp_path / FILE) == on_server(world, False)
        assert load(options(simulator), Progress(), messages.append).new == 0
