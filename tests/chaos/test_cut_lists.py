"""Test servers that cut each list to a number of jobs without a word: no link, and no total that tells."""

from dataclasses import replace
from datetime import timedelta

import pytest
from avepoint_m365 import Progress
from avepoint_simulator import Answer, Asked
from m365_jobs.load.options import LoadOptions
from m365_jobs.load.run import load

from tests.support.tenant import HISTORY, Tenant
from tests.support.worlds import settings

LIMIT, ROUND_LIMIT = 21, 20
"""The jobs of a list: a limit that no length of a list reveals, and one that servers usually have."""


def cut_lists(tenant: Tenant, limit: int = LIMIT) -> None:
    """Let the server send the first jobs of each list alone, as if they were all."""
    server = tenant.simulator
    server.dialect = replace(server.dialect, max_page_size=limit, total_basis="page", link="none")

    def answer(asked: Asked) -> Answer | None:
        if asked.path != "/backup/m365/jobs":
            return None
        if int(asked.params.get("pageindex", 0)) > 1:
            return Answer(200, {"jobs": [], "nextLink": "", "totalNumber": 0})
        answer = server.jobs.answer_jobs(asked)
        return Answer(200, answer.body | {"nextLink": ""})

    server.fault = answer


def put_jobs(tenant: Tenant, day: int = 0, days: int = 50) -> None:
    """Add two jobs for each of the ``days`` up to a day of the test."""
    for hours in range(24 * (day - days), 24 * day, 12):
        tenant.put(f"job {hours:+05}", hours + 2, hours + 3)


def test_a_first_load_reads_all_jobs_from_lists_that_are_cut(tenant: Tenant) -> None:
    put_jobs(tenant)
    cut_lists(tenant)
    tenant.load(endpoint="jobs")
    assert tenant.agrees()
    tenant.world.advance(timedelta(days=20))
    put_jobs(tenant, 20, 20)
    tenant.load(endpoint="jobs")
    assert tenant.agrees()


@pytest.mark.parametrize("total", ["page", "absent"])
@pytest.mark.parametrize("order", ["newest", "oldest", "scattered"])
def test_short_histories_are_read_from_lists_that_are_cut(tenant: Tenant, order: str, total: str) -> None:
    since = (tenant.world.now - timedelta(days=25)).isoformat()
    tenant.world.order = order
    put_jobs(tenant, days=24)
    cut_lists(tenant, ROUND_LIMIT)
    tenant.simulator.dialect = replace(tenant.simulator.dialect, total_basis=total)
    for day in (0, 1, 2):
        tenant.world.advance(timedelta(days=min(day, 1)))
        put_jobs(tenant, day, 2)
        tenant.load(endpoint="jobs", start_date=since)
        assert tenant.agrees()


def test_lists_that_are_cut_from_a_day_on_are_noticed_by_the_daily_comparison(tenant: Tenant) -> None:
    put_jobs(tenant)
    tenant.load(endpoint="jobs")
    cut_lists(tenant)
    for day in (20, 40):
        tenant.world.advance(timedelta(days=20))
        put_jobs(tenant, day, 20)
        tenant.load(endpoint="jobs")
        assert tenant.agrees()


def test_a_cut_list_without_a_known_job_is_not_taken_for_another_tenant(tenant: Tenant) -> None:
    put_jobs(tenant)
    tenant.put("overnight", -30, -20)
    tenant.load(endpoint="jobs")
    cut_lists(tenant)
    tenant.world.advance(timedelta(days=14))
    put_jobs(tenant, 14, 14)
    tenant.load(endpoint="jobs", exit_code=3)
    assert tenant.select("SELECT DISTINCT detail FROM load_audit WHERE NOT complete") == [
        ("Cut list: the API returns at most 21 jobs in one list.",)
    ]
    tenant.load(endpoint="jobs")
    assert tenant.agrees()


def test_verify_reads_a_history_from_lists_that_are_cut(tenant: Tenant) -> None:
    put_jobs(tenant)
    cut_lists(tenant)
    tenant.load(endpoint="jobs", start_date=(tenant.world.now - timedelta(days=20)).isoformat())
    assert not tenant.agrees()
    source = settings(tenant.simulator, object_types=["exchange_online"], endpoint="jobs")
    load(LoadOptions(verify_since=HISTORY, source=source), Progress(), lambda _: None)
    assert tenant.agrees()
