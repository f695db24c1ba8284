"""Test reconciliation: the API's totals against the warehouse, daily and on demand, and the repair of differences."""

from datetime import timedelta
from typing import Any

import duckdb
import pytest
from avepoint_m365 import Progress
from avepoint_simulator import Dialect, JobError, ServerBehavior, Simulator, make_world
from avepoint_simulator.tenant import FAILED
from m365_jobs.health.run_checks import history_begins, run_checks
from m365_jobs.load.options import LoadOptions
from m365_jobs.load.run import load
from m365_jobs.warehouse.target import open_warehouse
from m365_jobs.warehouse.tenant_scope import open_scope

from tests.support.cli import NOW, NewUser
from tests.support.tenant import HISTORY, Tenant
from tests.support.truth import in_warehouse, on_server
from tests.support.worlds import settings

PERIODS = "SELECT kind, api_total, warehouse_jobs, proof, detail FROM reconciliations ORDER BY checked_at"


def forget(file: Any, condition: str) -> int:
    """Delete jobs directly in the warehouse file, and return their number."""
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
        ids = [row[0] for row in connection.execute(f"SELECT id FROM jobs WHERE {condition}").fetchall()]
        for table, key in {"jobs": "id", "jobs__backup_details": "job_id", "jobs__job_errors": "job_id"}.items():
            connection.execute(f"DELETE FROM {table} WHERE list_contains(?, {key})", [ids])
    return len(ids)


@pytest.mark.parametrize(("page_size", "pages"), [(500, 2), (100, 7), (30, 0)])
@pytest.mark.usual(1)
def test_a_daily_reconciliation_counts_new_jobs_and_reads_the_period_unless_it_is_large(
    tenant: Tenant, page_size: int, pages: int
) -> None:
    for number in range(700):
        tenant.put(f"job {number}", -number - 0.9, -number - 0.1)
    tenant.load(page_size=page_size)
    tenant.world.advance(timedelta(hours=25))
    tenant.put("new", 1, 2)
    tenant.load(page_size=page_size)
    thirty_days = [
        request for request in tenant.simulator.asked if request.params["starttime"] == "2026-01-31T00:00:00Z"
    ]
    assert len(thirty_days) == 1 + pages
    assert tenant.select(PERIODS) == [("daily", 697, 697, True, None)]
    assert tenant.agrees()


def test_jobs_that_the_warehouse_lost_are_back_after_a_day(tenant: Tenant) -> None:
    for number in range(700):
        tenant.put(f"job {number}", -number - 0.9, -number - 0.1)
    tenant.load(page_size=100)
    assert forget(tenant.file, "id IN ('job 450', 'job 451', 'job 600')") == 3
    assert not tenant.agrees()
    tenant.world.advance(timedelta(hours=25))
    tenant.load(page_size=100)
    assert tenant.agrees()
    assert tenant.select(PERIODS)[-1] == ("daily", 696, 693, True, "3 jobs read again")


def test_jobs_that_the_api_counts_and_does_not_show_are_a_warning_of_health(tenant: Tenant) -> None:
    for number in range(40):
        tenant.put(f"job {number}", -number - 0.9, -number - 0.1)
    tenant.load()
    tenant.world.advance(timedelta(hours=25))
    tenant.simulator.behavior = ServerBehavior(total_error=2)
    tenant.load(exit_code=3)
    with open_scope(open_warehouse()) as scope:
        results = [
            reason.text for reason in run_checks(scope, history_begins(scope), []) if reason.kind == "unreconciled"
        ]
    assert results == [
        "the API counts 42 jobs from 2026-01-31 00:00 UTC to 2026-03-02 00:00 UTC and does not return all of them; "
        "the warehouse held 40 before the load"
    ]


def test_verify_loads_differences_and_reports_unproved_periods(new_user: NewUser) -> None:
    world = make_world(150, seed=7, now=NOW, days=100)
    since = ("--since", f"{NOW - timedelta(days=110):%Y-%m-%d}")
    with Simulator(world) as simulator:
        user = new_user(simulator)
        file = user.folder / "m365_warehouse.duckdb"
        user.run("load")
        assert "agree with the API, 0 jobs were missing and 0 differed" in user.run("verify", *since).stderr
        lost = forget(file, f"finish_time < TIMESTAMPTZ '{NOW - timedelta(days=50)}' OR object_type = 'teams'")
        assert lost
        message = user.run("verify", *since).stderr
        assert f"{lost} jobs were missing and 0 differed; both are loaded." in message
        assert in_warehouse(file) == on_server(world, False)
        simulator.behavior = ServerBehavior(total_error=2)
        assert "the API does not return all of them" in user.run("verify", *since, code=3).stderr


def change_what_no_count_shows(tenant: Tenant) -> None:
    """Remove a job, add one that came late, and fail one that had finished: the number of jobs stays."""
    tenant.world.remove("job 100")
    tenant.put("late", -100.9, -100.1)
    tenant.put("job 200", -200.9, -200.1, final_state=FAILED, failed=1, errors=(JobError("Denied.", True, "", 2),))


def holds_what_no_count_shows(tenant: Tenant) -> bool:
    """Return whether the warehouse has the changes, and still the removed job."""
    stored = in_warehouse(tenant.file)
    return stored.pop("job 100") is not None and stored == on_server(tenant.world, False)


@pytest.mark.parametrize("reading", ["start", "finish", "overlap", "whole"])
@pytest.mark.usual(1)
def test_changes_that_leave_the_number_of_jobs_are_loaded_after_a_day(tenant: Tenant, reading: str) -> None:
    tenant.world.reading = reading
    for number in range(700):
        tenant.put(f"job {number}", -number - 0.9, -number - 0.1)
    tenant.load()
    change_what_no_count_shows(tenant)
    tenant.world.advance(timedelta(hours=25))
    tenant.load()
    assert holds_what_no_count_shows(tenant)


@pytest.mark.parametrize("total", ["matches", "absent", "page"])
@pytest.mark.usual(1)
def test_verify_loads_changes_that_leave_the_number_of_jobs(tenant: Tenant, total: str) -> None:
    tenant.simulator.dialect = Dialect(total_basis=total)
    for number in range(700):
        tenant.put(f"job {number}", -number - 0.9, -number - 0.1)
    tenant.load(page_size=50)
    change_what_no_count_shows(tenant)
    source = settings(tenant.simulator, object_types=["exchange_online"], start_date=HISTORY.isoformat(), page_size=50)
    summary = load(LoadOptions(verify_since=HISTORY, source=source), Progress(), lambda _: None)
    assert (summary.new, summary.changed, summary.exit_code) == (1, 1, 0)
    assert holds_what_no_count_shows(tenant)


def test_a_period_and_its_first_half_are_both_stored(tenant: Tenant) -> None:
    for number in range(40):
        tenant.put(f"job {number}", -24 * number - 0.9, -24 * number - 0.1)
    tenant.load()
    tenant.simulator.behavior = ServerBehavior(total_error=2)
    source = settings(tenant.simulator, object_types=["exchange_online"], start_date=HISTORY.isoformat())
    # The first run learns that services are empty. The second run writes without a dlt run.
    for _ in range(2):
        verified = load(LoadOptions(verify_since=HISTORY, source=source), Progress(), lambda _: None)
        compared = [row.period for row in verified.periods]
        assert len({start for start, _ in compared}) < len(compared)
        query = "SELECT period_start, period_end FROM reconciliations WHERE run_id = '{}' ORDER BY checked_at"
        assert tenant.select(query.format(verified.run_id)) == compared


def test_verify_before_the_first_load_names_the_cure(simulator: Simulator, new_user: NewUser) -> None:
    assert "Load it first." in new_user(simulator).run("verify", code=2).stderr


@pytest.mark.parametrize("reading", ["start", "finish"])
@pytest.mark.usual(1)
def test_the_months_of_a_first_load_agree_with_the_api_and_nothing_is_read_again(tenant: Tenant, reading: str) -> None:
    tenant.world.reading = reading
    for number in range(690):
        # Three jobs are in progress at any time, so also at the border of two months.
        tenant.put(f"job {number}", -2 * number - 7, -2 * number - 1)
    tenant.load(page_size=100)
    assert tenant.agrees()
    periods = tenant.select("SELECT kind, proof, detail FROM reconciliations")
    assert periods == [("first_load", True, None)] * 3


def test_a_surplus_of_every_total_is_learned_once_and_hides_no_other(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    file = user.folder / "m365_warehouse.duckdb"
    simulator.behavior = ServerBehavior(total_error=7)
    user.run("load")
    before = len(simulator.asked)
    simulator.world.advance(timedelta(hours=2))
    assert "Proved complete" in user.run("load").stderr
    assert len(simulator.asked) - before < 20, "halves of the window are read"
    assert in_warehouse(file) == on_server(simulator.world, False)
    simulator.behavior = ServerBehavior(total_error=8)
    assert "reported" in user.run("load", code=3).stderr
    simulator.behavior = ServerBehavior()
    user.run("load")
    simulator.behavior = ServerBehavior(total_error=7)
    assert "reported" in user.run("load", code=3).stderr


def test_totals_of_all_tenants_prove_nothing_and_cost_few_requests(simulator: Simulator, new_user: NewUser) -> None:
    user, requests = new_user(simulator), []
    simulator.behavior = ServerBehavior(total_factor=4)
    for _ in range(4):
        before = len(simulator.asked)
        assert "Not proved complete: all jobs" in user.run("load", code=3).stderr
        assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)
        requests.append(len(simulator.asked) - before)
        simulator.world.advance(timedelta(hours=2))
    assert requests[0] < 600, requests
    assert max(requests[1:]) < 40, requests
    simulator.behavior = ServerBehavior()
    assert "Proved complete" in user.run("load").stderr
