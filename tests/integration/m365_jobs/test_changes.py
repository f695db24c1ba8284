"""Test settings and API behaviour that change between the loads of one warehouse."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from avepoint_m365 import Progress
from avepoint_simulator import Answer, Asked
from dlt.common.configuration.container import Container
from dlt.extract.incremental.context import TimeIntervalContext
from m365_jobs.load import run as loading

from tests.support.driven_clock import DrivenClock
from tests.support.tenant import HISTORY, START, Tenant
from tests.support.truth import in_warehouse, on_server
from tests.support.worlds import ignore, settings


def a_day_of(tenant: Tenant, number: int, **more: Any) -> None:
    """Add a day of jobs, and load it.

    One job runs past midnight. Another began five days earlier, and the API lists it only after it ended.
    """
    hour = 24 * number
    tenant.put(f"night {number}", hour - 2, hour + 1)
    shown = START + timedelta(hours=hour + 2)
    tenant.put(f"long {number}", hour - 120, hour + 2, visible_from=shown)
    tenant.world.advance(timedelta(days=1))
    tenant.load(**more)


@pytest.mark.usual(1)
@pytest.mark.parametrize("reading", ["start", "whole"])
def test_the_range_filter_of_one_endpoint_generation_is_not_used_for_the_other(tenant: Tenant, reading: str) -> None:
    tenant.put("first", -26, -20)
    tenant.load()
    a_day_of(tenant, 0)
    tenant.world.reading = reading
    a_day_of(tenant, 1, endpoint="cloudbackupjobs")
    a_day_of(tenant, 2, endpoint="cloudbackupjobs")
    assert tenant.agrees()
    tenant.put("longest", -200, 72, visible_from=START + timedelta(hours=72))
    a_day_of(tenant, 3, endpoint="cloudbackupjobs")
    assert tenant.agrees()


@pytest.mark.usual(1)
@pytest.mark.parametrize("reading", ["start", "whole"])
def test_the_range_filter_is_detected_again_each_day(tenant: Tenant, reading: str) -> None:
    tenant.put("first", -26, -20)
    tenant.load()
    a_day_of(tenant, 0)
    tenant.world.reading = reading
    for number in range(1, 4):
        a_day_of(tenant, number)
    assert tenant.agrees()


def test_an_api_that_begins_to_ignore_the_job_type_is_detected(tenant: Tenant) -> None:
    tenant.put("backup", -26, -20)
    tenant.load()
    ignore(tenant.world, 1)
    tenant.put("restore", 28, 29)
    tenant.world.change("restore", job_type=2)
    tenant.world.advance(timedelta(hours=30))
    tenant.load()
    assert in_warehouse(tenant.file)["restore"][2] is None


def test_a_job_that_runs_again_is_in_progress_a_day_after_its_end_was_read(tenant: Tenant) -> None:
    tenant.put("restarted", -2, -1)
    with DrivenClock() as clock:
        for hours, agrees in ((0, True), (1, False), (22, False), (2, True)):
            clock.set(tenant.world.advance(timedelta(hours=hours)))
            tenant.load()
            assert tenant.agrees() == agrees, f"{hours} hours later"
            tenant.put("restarted", -2, 60)
        clock.set(tenant.world.advance(timedelta(hours=48)))
        tenant.load()
    assert tenant.agrees()


def test_an_added_alias_location_relabels_no_job(tenant: Tenant) -> None:
    """Test that the alias is loaded from the start, and the other locations only where there are new jobs."""
    tenant.world.primary_location = "NAM"
    for number in range(12):
        tenant.put(f"job {number}", -100 * number - 3, -100 * number - 2)
        tenant.world.change(f"job {number}", location=("NAM", "EUR")[number % 2])
    tenant.load(locations=["NAM", "EUR"])
    tenant.world.advance(timedelta(days=2))
    tenant.load(locations=["NAM", "EUR", "PrimaryGeoLocation"])
    assert in_warehouse(tenant.file) == on_server(tenant.world, True)


def test_a_tenant_whose_rows_were_deleted_is_loaded_again(tenant: Tenant) -> None:
    """Test an operator who deletes a customer's jobs but leaves the tables with the history of loads."""
    tenant.put("long ago", -900, -899)
    tenant.put("new", -3, -2)
    tenant.load()
    with duckdb.connect(str(tenant.file)) as connection:
        for name in ("jobs", "jobs__backup_details", "jobs__job_errors"):
            connection.execute(f"DELETE FROM m365_jobs.{name}")
    tenant.load()
    assert tenant.agrees()
    assert len(tenant.load()) == 1, "once"


def test_a_backfill_that_broke_off_long_ago_begins_again(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "CHUNK_JOBS", 2)
    for number in range(6):
        tenant.put(f"job {number}", -400 * number - 2, -400 * number - 1)
    since = START - timedelta(days=90)

    def down(asked: Asked) -> Answer | None:
        windows = {
            request.params["finishtime"] for request in tenant.simulator.asked if request.params["pagesize"] != "10"
        }
        return Answer(403) if len(windows) > 1 else None

    tenant.simulator.fault = down
    with pytest.raises(Exception, match="jobInfo"):
        tenant.load(since)
    tenant.simulator.fault = None
    tenant.world.advance(timedelta(days=60))
    for number in range(6):
        tenant.world.change(f"job {number}", final_state="Failed")
    tenant.load(since)
    assert tenant.agrees()


def test_a_pending_package_does_not_overwrite_rows_of_a_later_load(
    tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test a machine that fails with a package ready to load, and returns after days of another machine's loads."""
    tenant.put("open", -5, 30)
    tenant.load()
    tenant.world.advance(timedelta(hours=1))
    tenant.put("first", 0.2, 0.4)
    with monkeypatch.context() as broken:
        broken.setattr(dlt.Pipeline, "load", lambda _: die())
        with pytest.raises(OSError, match="broke down"):
            tenant.load()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DLT_DATA_DIR", str(tmp_path / "standby"))
        for number in range(1, 5):
            tenant.world.advance(timedelta(days=1))
            tenant.put(f"job {number}", 24 * number - 3, 24 * number - 2)
            tenant.load()
    tenant.load()
    assert tenant.agrees()
    assert len(tenant.load()) == 1, "nothing is left over"


@pytest.mark.parametrize(("begin", "end"), [(2, 3), (3, 40), (1, 0)])
def test_an_empty_interval_is_no_complete_load(tenant: Tenant, begin: int, end: int) -> None:
    """Test at 02:00 of the scenario: a future interval cannot be complete, nor one that ends before it starts."""
    tenant.world.advance(timedelta(hours=2))
    interval = (START + timedelta(hours=begin), START + timedelta(hours=end))
    scheduler = TimeIntervalContext(interval, allow_external_schedulers=True)
    with Container().injectable_context(scheduler), pytest.raises(Exception, match="leaves nothing to load"):
        tenant.load()
    with pytest.raises(duckdb.Error), duckdb.connect(str(tenant.file), read_only=True) as connection:
        connection.execute("SELECT * FROM m365_jobs.load_audit")


def die() -> None:
    raise OSError("broke down")


def test_an_api_that_begins_to_ignore_the_object_type_is_detected_at_once(tenant: Tenant) -> None:
    """Test services with jobs at different times, which are requested over different windows.

    A job in the window of one service only must not be stored under that service.
    """
    types = ["exchange_online", "teams", "power_apps"]
    for number in range(12):
        tenant.put(f"job {number}", -100 * number - 3, -100 * number - 2)
    for number, object_type in ((11, 7), (8, 12)):
        tenant.world.change(f"job {number}", object_type=object_type)
    tenant.load(object_types=types)
    assert tenant.agrees()
    ignore(tenant.world, 0)
    tenant.put("new", 1, 2)
    tenant.world.advance(timedelta(hours=5))
    tenant.load(object_types=types)
    loaded = in_warehouse(tenant.file)
    assert loaded.pop("new")[1] is None
    known = {"job 11": "teams", "job 8": "power_apps"}
    assert {job_id: row[1] for job_id, row in loaded.items()} == {
        job_id: known.get(job_id, "exchange_online") for job_id in loaded
    }


def fail_teams(tenant: Tenant) -> None:
    tenant.simulator.fault = lambda asked: Answer(403) if asked.params.get("objecttype") == "7" else None


@pytest.mark.parametrize("failed_loads", [1, 2, 3])
@pytest.mark.usual(1)
def test_jobs_get_their_labels_after_any_number_of_loads_in_which_a_list_failed(
    tenant: Tenant, failed_loads: int
) -> None:
    tenant.put("old", -3, -2)
    tenant.load(object_types=None)
    fail_teams(tenant)
    for number in range(failed_loads):
        tenant.put(f"new {number}", 5 * number + 1, 5 * number + 2)
        tenant.world.change(f"new {number}", object_type=7)
        tenant.world.advance(timedelta(hours=5))
        tenant.load(object_types=None, exit_code=3)
    tenant.simulator.fault = None
    tenant.load(object_types=None)
    assert tenant.agrees()


def test_verify_finds_labels_that_the_warehouse_lacks(tenant: Tenant) -> None:
    for number in range(60):
        tenant.put(f"job {number}", -24 * number - 3, -24 * number - 2)
    tenant.load(object_types=None)
    with duckdb.connect(str(tenant.file)) as connection:
        connection.execute(
            "UPDATE m365_jobs.jobs SET object_type = NULL, job_type = NULL WHERE id IN ('job 5', 'job 50')"
        )
    source = settings(tenant.simulator)
    loading.load(loading.LoadOptions(verify_since=HISTORY, source=source), Progress(), lambda _: None)
    assert tenant.agrees()


def test_a_server_that_hides_jobs_in_progress_is_noticed_once_they_end(tenant: Tenant) -> None:
    tenant.put("old", -30, -29)
    tenant.load()
    ended = START + timedelta(hours=3)
    tenant.put("hidden", -2, 3, visible_from=ended)
    tenant.put("short", 2, 2.5)
    tenant.world.advance(timedelta(hours=5))
    tenant.load()
    assert tenant.agrees()
    assert tenant.select("SELECT rule, jobs, example FROM load_check_failures") == [("hidden_in_progress", 1, "hidden")]


def test_a_job_that_shows_up_late_beside_one_in_progress_is_no_sign_of_hidden_jobs(tenant: Tenant) -> None:
    tenant.put("open", -3, 40)
    tenant.load()
    tenant.put("late", -2, 3, visible_from=START + timedelta(hours=3))
    tenant.world.advance(timedelta(hours=5))
    tenant.load()
    assert tenant.agrees()
    assert tenant.select("SELECT rule FROM load_check_failures") == []
