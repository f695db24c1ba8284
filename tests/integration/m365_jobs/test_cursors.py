"""Test where each load begins: cursors, open jobs, edges of windows, clocks, and restored state."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import duckdb
import pytest
from avepoint_m365.extract import chunks, scan
from avepoint_simulator import Answer, Asked, Simulator
from avepoint_simulator.tenant import BOUNDS, READINGS
from dlt.common.configuration.container import Container
from dlt.extract.incremental.context import TimeIntervalContext
from m365_jobs.load import run as loading

from tests.support.cli import NewUser
from tests.support.tenant import HISTORY, START, Tenant
from tests.support.truth import end_of_day, in_warehouse
from tests.support.worlds import Filters, reinterpret

RANGES = [
    *((BOUNDS[0], item) for item in READINGS),
    *((bound, READINGS[0]) for bound in BOUNDS[1:]),
    (BOUNDS[1], "whole"),
]
"""What a range may mean: each meaning, and each kind of bounds."""


def test_a_new_machine_continues_from_the_cursors_of_the_warehouse(tenant: Tenant, tmp_path: Path) -> None:
    tenant.put("old", -920, -899)
    tenant.put("new", -3, -2)
    tenant.put("open", -40, 9)
    tenant.load()
    tenant.world.advance(timedelta(hours=1))
    known = tenant.load()
    shutil.rmtree(tmp_path / "dlt")
    tenant.world.advance(timedelta(hours=1))
    assert tenant.load() == known
    assert min(known) > f"{START - timedelta(days=3):%Y-%m-%d}"
    tenant.world.advance(timedelta(hours=8))
    tenant.load()
    assert tenant.agrees()


@pytest.mark.usual(1)
@pytest.mark.parametrize("what", ["--drop-all", "jobs_all_exchange_online"])
def test_dlt_shows_the_pipeline_and_what_it_drops_is_read_again(
    simulator: Simulator, new_user: NewUser, what: str
) -> None:
    """Test that a drop of one resource is repaired: all partitions and tenants share the tables.

    dlt regards the partition that returned the tables as their owner. A drop of that resource deletes the rows of all
    partitions and tenants, but only the cursor of that partition.
    """
    user = new_user(simulator)
    user.environment["DESTINATION__DUCKDB__CREDENTIALS"] = "m365_warehouse.duckdb"

    def dlt(*arguments: str) -> str:
        command = [sys.executable, "-m", "dlt", "--yes", "pipeline", "m365_jobs", *arguments]
        done = subprocess.run(
            command, cwd=user.folder, env=user.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def load(tenant: str) -> str:
        user.set(tenant=tenant)
        return user.run("load").stderr

    for tenant in ("other", "default"):
        load(tenant)
    assert re.search(r"jobs_all_exchange_online with 7 table\(s\) and \d resource state", dlt("info"))
    loaded = user.query("SELECT tenant, id FROM jobs ORDER BY ALL")
    dlt("drop", what)
    with pytest.raises(duckdb.CatalogException):
        user.query("SELECT 1 FROM jobs")
    message = [load(tenant) for tenant in ("default", "other")]
    assert user.query("SELECT tenant, id FROM jobs ORDER BY ALL") == loaded
    assert "no longer holds what was loaded before" in message[-1]
    assert "no longer holds" not in load("other")


@pytest.mark.usual(1)
@pytest.mark.parametrize("chunk_jobs", [2, 1000])
def test_an_external_scheduler_sets_the_range_of_a_load(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, chunk_jobs: int
) -> None:
    monkeypatch.setattr(loading, "CHUNK_JOBS", chunk_jobs)
    for number in range(8):
        tenant.put(f"job {number}", -1 - 24 * number, -24 * number)
    for day in (5, 3):
        interval = (START - timedelta(days=day, hours=12), START - timedelta(days=day - 2, hours=12))
        scheduler = TimeIntervalContext(interval, allow_external_schedulers=True)
        with Container().injectable_context(scheduler):
            tenant.load()
    begin, end = START - timedelta(days=5, hours=12), end_of_day(START - timedelta(days=1, hours=12))
    wanted = {job.id for job in tenant.world.visible() if job.in_range("finish", begin, end, START)}
    assert wanted >= {f"job {number}" for number in (2, 3, 4, 5)}
    assert in_warehouse(tenant.file).keys() == wanted
    assert f"{HISTORY:%Y-%m-%dT%H:%M:%SZ}" in tenant.load(), "cursors were left alone"
    assert tenant.agrees()


def test_a_range_of_hours_loads_its_jobs_from_an_api_that_compares_days(tenant: Tenant) -> None:
    def of_days(filters: Filters) -> Filters:
        assert filters.since is not None
        assert filters.until is not None
        since, until = (item.replace(hour=0, minute=0, second=0) for item in (filters.since, filters.until))
        return filters._replace(since=since, until=until)

    reinterpret(tenant.world, of_days)
    day = (START - timedelta(days=3)).replace(hour=0, minute=0, second=0)
    for hour in (0, 7, 23):
        at = (day - START) / timedelta(hours=1) + hour + 0.4
        tenant.put(f"hour {hour}", at, at + 0.2)
        interval = (day + timedelta(hours=hour), day + timedelta(hours=hour + 1))
        with Container().injectable_context(TimeIntervalContext(interval, allow_external_schedulers=True)):
            tenant.load()
        assert tenant.agrees()


@pytest.mark.usual(1)
@pytest.mark.parametrize(("bounds", "reading"), RANGES)
def test_a_job_that_ends_in_the_second_of_the_cursor_is_loaded(tenant: Tenant, bounds: str, reading: str) -> None:
    tenant.world.bounds, tenant.world.reading = bounds, reading
    tenant.put("first", -2, -1)
    tenant.put("open", -50, 30)
    tenant.load(lag_hours=0)
    tenant.put("same second", -3, -1)
    tenant.load(lag_hours=0)
    assert tenant.agrees()
    tenant.world.advance(timedelta(hours=31))
    tenant.load(lag_hours=0)
    assert tenant.agrees()


@pytest.mark.usual(1)
@pytest.mark.parametrize(("bounds", "reading"), RANGES)
def test_jobs_at_the_edges_of_slices_are_loaded(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, bounds: str, reading: str
) -> None:
    monkeypatch.setattr(loading, "CHUNK_JOBS", 3)
    tenant.world.bounds, tenant.world.reading = bounds, reading
    cuts: list[datetime] = []
    find_chunk_end = chunks.find_chunk_end

    def put_a_job_at_the_edge(*arguments: Any) -> datetime | None:
        cut = find_chunk_end(*arguments)
        # Jobs at a cut fill the next chunk. Without a limit, a month would be read in chunks of minutes.
        if cut and len(cuts) < 3:
            cuts.append(cut)
            hours = (cut - START).total_seconds() / 3600
            tenant.put(f"starts at cut {len(cuts)}", hours, hours + 1)
            tenant.put(f"ends at cut {len(cuts)}", hours - 1, hours)
            tenant.put(f"goes on past cut {len(cuts)}", hours - 3, hours + 1)
        return cut

    monkeypatch.setattr(scan, "find_chunk_end", put_a_job_at_the_edge)
    for number in range(9):
        tenant.put(f"job {number}", -130 * number - 2, -130 * number - 1)
    tenant.load()
    assert len(cuts) > 2
    assert tenant.agrees()


@pytest.mark.usual(1)
@pytest.mark.parametrize(
    ("skews", "reading"),
    [((-1,), "start"), ((-1,), "finish"), ((1,), "start"), ((1,), "finish"), ((1, -1), "overlap"), ((1, -1), "whole")],
)
def test_a_clock_that_is_an_hour_off_does_no_harm(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, skews: tuple[int, ...], reading: str
) -> None:
    """Test a clock that is wrong by an hour, and changes between two loads."""
    skew = itertools.cycle(skews)
    monkeypatch.setattr(avepoint_m365, "_now", lambda: tenant.world.now + timedelta(hours=next(skew)))
    tenant.world.reading = reading
    for hour in range(0, 48, 12):
        tenant.put(f"plain {hour}", hour - 2, hour + 0.5)
        tenant.put(f"late {hour}", hour - 2, hour - 1, visible_from=START + timedelta(hours=hour + 23))
        tenant.load()
        assert tenant.agrees()
        tenant.world.advance(timedelta(hours=12))


def test_a_clock_that_was_weeks_ahead_once_does_not_hide_the_first_jobs_of_a_service(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [timedelta(days=40)]
    monkeypatch.setattr(avepoint_m365, "_now", lambda: tenant.world.now + ahead[-1])
    tenant.load()
    ahead.append(timedelta(0))
    tenant.put("first", 1, 2)
    for _ in range(2):
        tenant.world.advance(timedelta(hours=30))
        tenant.load()
        assert tenant.agrees()


@pytest.mark.usual(1)
@pytest.mark.parametrize("reading", READINGS)
def test_an_open_job_is_followed_for_max_open_days(tenant: Tenant, reading: str) -> None:
    tenant.world.reading = reading
    tenant.put("before", -6, -5)
    tenant.put("stuck", -4, 10_000)
    tenant.put("five days", -3, 120)
    for hour in range(0, 13 * 24, 78):
        tenant.put(f"hour {hour}", hour + 1, hour + 3)
        tenant.world.advance(timedelta(hours=78))
        assert min(tenant.load()) <= f"{START - timedelta(hours=4):%Y-%m-%dT%H:%M:%SZ}"
        assert tenant.agrees()
    assert tenant.select("SELECT rule, example FROM load_check_failures") == []
    tenant.world.advance(timedelta(hours=24))
    tenant.load()
    assert tenant.select("SELECT rule, example FROM load_check_failures") == [("job_given_up", "stuck")]
    tenant.put("latest", 333, 334)
    tenant.load()
    back = timedelta(days=15 if reading in ("start", "whole") else 1, hours=2, seconds=1)
    assert min(tenant.load()) >= f"{tenant.world.now - back:%Y-%m-%dT%H:%M:%SZ}", "not for ever"
    open_for = (tenant.world.now - START) / timedelta(hours=1) + 4
    assert tenant.select("SELECT id, hours_open FROM open_jobs") == [("stuck", open_for)]


@pytest.mark.usual(1)
@pytest.mark.parametrize("reading", READINGS)
def test_an_open_job_that_ended_before_the_newest_finish_is_updated(tenant: Tenant, reading: str) -> None:
    tenant.world.reading = reading
    tenant.put("long", -100, 50)
    tenant.load()
    tenant.put("newest", 40, 71)
    tenant.world.advance(timedelta(hours=72))
    tenant.world.change("long", finish=None)
    tenant.load()
    tenant.world.change("long", finish=START + timedelta(hours=50), total=5)
    tenant.load()
    assert tenant.agrees()


def test_slices_that_are_read_days_apart_miss_nothing_that_came_between(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK_JOBS", 4)
    for number in range(8):
        tenant.put(f"job {number}", -2 * number - 1, -2 * number)
    tenant.put("long ago", -1000, -999)
    tenant.put("late", -9, -8, visible_from=START + timedelta(hours=10))

    def down(asked: Asked) -> Answer | None:
        windows = {
            request.params["starttime"] for request in tenant.simulator.asked if request.params["pagesize"] != "10"
        }
        return Answer(403) if len(windows) > 2 else None

    tenant.simulator.fault = down
    with pytest.raises(Exception, match="jobInfo"):
        tenant.load()
    tenant.simulator.fault = None
    tenant.world.advance(timedelta(days=4))
    tenant.put("after", 90, 91)
    tenant.load()
    tenant.load()
    assert tenant.agrees()


def test_nothing_new_costs_a_request_for_each_partition(tenant: Tenant) -> None:
    for number in range(40):
        tenant.put(f"job {number}", -20 * number - 5, -20 * number)
    tenant.load(object_types=["exchange_online", "teams"])
    tenant.load(object_types=["exchange_online", "teams"])
    assert sorted(asked.params["objecttype"] for asked in tenant.simulator.asked) == ["1", "7"]


def test_a_backfill_holds_the_fraction_of_a_second_it_ends_in(tenant: Tenant) -> None:
    tenant.put("job", -5, -4 + 0.5 / 3600)
    tenant.load(START - timedelta(hours=6), START - timedelta(hours=4) + timedelta(milliseconds=600))
    assert in_warehouse(tenant.file).keys() == {"job"}


@pytest.mark.parametrize("who_says_so", ["the user", "a scheduler"])
@pytest.mark.usual(1)
def test_a_range_that_ends_in_the_future_is_complete_until_now(tenant: Tenant, who_says_so: str) -> None:
    tenant.put("job", -5, -4)
    tenant.put("open", -2, 1)
    begin, end = START - timedelta(hours=6), START + timedelta(days=300)
    if who_says_so == "the user":
        tenant.load(begin, end)
    else:
        scheduler = TimeIntervalContext((begin, end), allow_external_schedulers=True)
        with Container().injectable_context(scheduler):
            tenant.load()
    assert tenant.agrees()
    with duckdb.connect(str(tenant.file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
        assert connection.execute("SELECT DISTINCT window_end FROM load_audit").fetchall() == [(START,)]
        assert connection.execute("SELECT DISTINCT data_as_of FROM protection_status").fetchall() == [(START,)]


@pytest.mark.parametrize(
    ("since", "begins"),
    [("2026-02-01", "2026-02-01T00:00:00Z"), ("2026-02-01T06:00:00+02:00", "2026-02-01T04:00:00Z")],
)
@pytest.mark.usual(1)
def test_since_without_a_zone_is_utc(simulator: Simulator, new_user: NewUser, since: str, begins: str) -> None:
    user = new_user(simulator)
    user.environment["TZ"] = "America/New_York"
    user.run("load", "--since", since)
    assert simulator.asked[0].params["starttime"] == begins
    ((first,),) = user.query("SELECT min(window_start) FROM load_audit WHERE object_type IS NULL AND job_type IS NULL")
    assert f"{first:%Y-%m-%dT%H:%M:%SZ}" == begins
    assert "UTC without a zone" in " ".join(user.run("load", "--help").stdout.replace("│", " ").split())


def test_status_shows_what_each_partition_is_known_by(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    shutil.rmtree(user.environment["DLT_DATA_DIR"])
    for partition in json.loads(user.run("status", "--format", "json").stdout)["partitions"]:
        for name in ("complete", "complete_until", "last_complete_load_at", "last_load_at", "rows_held", "cursor"):
            assert partition[name] is not None, (name, partition)
        assert partition["open_jobs"] == 0 or partition["oldest_open_start"] is not None


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.usual(1)
def test_a_job_that_was_given_up_is_requested_once_a_day(tenant: Tenant, reading: str) -> None:
    tenant.world.reading = reading
    tenant.put("before", -6, -5)
    tenant.put("stuck", -4, 10_000)
    tenant.load()
    tenant.world.advance(timedelta(days=40))
    tenant.put("latest", 40 * 24 - 2, 40 * 24 - 1)
    tenant.load()
    assert tenant.select("SELECT rule, example FROM load_check_failures") == [("job_given_up", "stuck")]
    for _ in range(2):
        tenant.world.advance(timedelta(hours=1))
        tenant.load()
        assert len(tenant.simulator.asked) == 1
    tenant.world.change("stuck", finish=tenant.world.now, final_state="Failed")
    tenant.world.advance(timedelta(days=1))
    tenant.load()
    # The second in which the job started contains no job as a whole.
    assert tenant.agrees() == (reading != "whole")
