"""The first rows of a tenant are appended. A load that is cut short while it writes them leaves none of them twice."""

import os
import shutil
from pathlib import Path

import avepoint_m365
import pytest
from avepoint_simulator import Simulator, World, make_world
from m365_jobs.load.options import LoadOptions

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


def options(simulator: Simulator) -> LoadOptions:
    return LoadOptions(source=settings(simulator, include="none"))


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
