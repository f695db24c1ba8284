"""Test the status of protection_status if the backup schedule is known, on each destination."""

from datetime import datetime
from typing import Any

import dlt
import pytest
from m365_jobs import marts
from m365_jobs.config.protection import Protection, Services
from m365_jobs.health.checks import CHECKS
from m365_jobs.health.evaluate import evaluate_scope
from m365_jobs.warehouse.tenant_scope import open_scope

from tests.integration.m365_jobs.marts import truth
from tests.integration.m365_jobs.marts.rows import Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_companion_marts import companions, random_rows, schedule
from tests.integration.m365_jobs.marts.test_numbers import content, plain

FOUR, ONCE = [0, 360, 720, 1080], [60]
LONG_AGO = ago(24 * 40)


def good(end: float, start: float | None = None, **more: Any) -> Job:
    return Job(f"FB{end}", ago(end), start=ago(end + 0.5 if start is None else start), **more)


def bad(end: float) -> Job:
    return good(end, state="Failed")


def running(start: float) -> Job:
    return Job(f"FB{start}", None, "In Progress", start=ago(start))


Versions = list[tuple[list[int], datetime, datetime | None]]

CASES: dict[str, tuple[list[Job], Versions, str]] = {
    "four a day, and a success within 9 hours": ([good(9)], [(FOUR, LONG_AGO, None)], "protected"),
    "four a day, and nothing for 9 hours": ([good(9.1)], [(FOUR, LONG_AGO, None)], "missed"),
    "once a day, and a success 36 hours ago": ([good(36)], [(ONCE, LONG_AGO, None)], "protected"),
    "once a day, and nothing for longer": ([good(36.1)], [(ONCE, LONG_AGO, None)], "missed"),
    "uneven starts, and a success 27 hours ago": ([good(27)], [([0, 360], LONG_AGO, None)], "protected"),
    "uneven starts, and nothing for 27 hours": ([good(27.1)], [([0, 360], LONG_AGO, None)], "missed"),
    "an old success and a failure since": ([good(40), bad(5)], [(ONCE, LONG_AGO, None)], "late"),
    "an old success and an old failure": ([good(60), bad(40)], [(ONCE, LONG_AGO, None)], "missed"),
    "two failures and silence since": ([good(90), bad(60), bad(50)], [(ONCE, LONG_AGO, None)], "failing"),
    "two failures": ([good(40), bad(20), bad(2)], [(ONCE, LONG_AGO, None)], "failing"),
    "nothing started, since one ran for a day": ([good(10, 40)], [(FOUR, LONG_AGO, None)], "missed"),
    "one that ran for a day has just ended": ([good(3, 30)], [(FOUR, LONG_AGO, None)], "protected"),
    "one that still runs": ([good(60), running(40)], [(ONCE, LONG_AGO, None)], "running_long"),
    "one that has run for two days": ([good(90), running(48)], [(ONCE, LONG_AGO, None)], "missed"),
    "scheduled for 23 hours, and nothing yet": ([], [(ONCE, ago(23), None)], "onboarding"),
    "scheduled for 23 hours, and one failure": ([bad(2)], [(ONCE, ago(23), None)], "onboarding"),
    "scheduled for 23 hours, and two failures": ([bad(3), bad(2)], [(ONCE, ago(23), None)], "failing"),
    "scheduled for 23 hours, and an old success": ([good(90)], [(ONCE, ago(23), None)], "missed"),
    "scheduled for a day, and nothing yet": ([], [(ONCE, ago(24), None)], "missed"),
    "scheduled for a day, and one failure": ([bad(2)], [(ONCE, ago(24), None)], "never"),
    "scheduled for a day, and a first backup that runs": ([running(2)], [(ONCE, ago(24), None)], "onboarding"),
    "once a day until 8 hours ago": (
        [good(10)], [(ONCE, LONG_AGO, ago(8)), (FOUR, ago(8), None)], "protected"
    ),
    "once a day until 8 hours ago, and nothing for 27 hours": (
        [good(27)], [(ONCE, LONG_AGO, ago(8)), (FOUR, ago(8), None)], "late"
    ),
    "once a day until 10 hours ago": ([good(10)], [(ONCE, LONG_AGO, ago(10)), (FOUR, ago(10), None)], "missed"),
    "no longer scheduled": ([good(20)], [(ONCE, LONG_AGO, ago(300))], "protected"),
    "no longer scheduled, and old": ([good(30)], [(ONCE, LONG_AGO, ago(300))], "late"),
}  # fmt: skip


def read_at(tenant: str, hours: float = 1, **more: Any) -> dict[str, Any]:
    """Return the record of a load that read the schedule."""
    known = {"tenant": tenant, "id": f"{tenant}{hours}{more}", "companion": "schedule", "status": "loaded"}
    return {**known, "asked_at": ago(hours), **more}


def test_each_status_follows_from_the_schedule(pipeline: dlt.Pipeline) -> None:
    rows, plans = Rows(), []
    for tenant, (jobs, versions, _) in CASES.items():
        rows.jobs += [Job(**{**vars(job), "tenant": tenant}) for job in jobs]
        rows.reads.append(Read(tenant=tenant))
        plans += [schedule("exchange_online", *version, tenant=tenant) for version in versions]
    rows.companions = companions(*plans, companion_loads=[read_at(tenant) for tenant in CASES])
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    results = {row[0]: row[8] for row in content(pipeline, "protection_status")}
    assert results == {tenant: status for tenant, (_, _, status) in CASES.items()}
    assert content(pipeline, "protection_status") == plain(truth.protection_status(rows, Protection()))


def test_a_scheduled_service_is_expected_and_a_schedule_that_is_no_longer_read_is_not_known(
    pipeline: dlt.Pipeline,
) -> None:
    rows = Rows(
        [good(20), good(20, tenant="fabrikam")],
        [Read(), Read(tenant="fabrikam"), Read(None, "geo", "EUR"), Read(None)],
        companions(
            schedule("exchange_online", ONCE, LONG_AGO),
            schedule("power_bi", ONCE, LONG_AGO),
            schedule("exchange_online", FOUR, LONG_AGO, tenant="fabrikam"),
            schedule("onedrive", ONCE, LONG_AGO, tenant="fabrikam"),
            schedule("power_bi", ONCE, LONG_AGO, tenant="geo"),
            schedule("onedrive", ONCE, LONG_AGO, tenant="geo", location="EUR"),
            companion_loads=[
                read_at("contoso"),
                read_at("fabrikam", 24 * 31),
                read_at("fabrikam", 1, status="permission_missing"),
                read_at("geo"),
                read_at("geo", location="EUR"),
            ],
        ),
    )
    rows.load(pipeline)
    settings = Protection(Services(expected=frozenset({"teams"})), allowed_age_hours=12)
    marts.update_views(pipeline, settings)
    assert {row[:3]: (row[8], row[11], row[12]) for row in content(pipeline, "protection_status")} == {
        ("contoso", None, "exchange_online"): ("protected", 24.0, 36.0),
        # Only the schedule names it, and it has no job.
        ("contoso", None, "power_bi"): ("missed", 24.0, 36.0),
        ("contoso", None, "teams"): ("never", None, 12.0),
        ("fabrikam", None, "exchange_online"): ("late", None, 12.0),
        ("fabrikam", None, "teams"): ("unknown", None, 12.0),
        # The schedule of the central location does not apply to a tenant that is loaded by location.
        ("geo", "EUR", "onedrive"): ("missed", 24.0, 36.0),
        ("geo", "EUR", "teams"): ("never", None, 12.0),
    }


@pytest.mark.parametrize("seed", range(2))
def test_random_backups_and_schedules_have_the_status_that_plain_python_computes(
    pipeline: dlt.Pipeline, seed: int
) -> None:
    rows = random_rows(seed)
    rows.companions["companion_loads"] = [
        read_at("contoso", 3), read_at("contoso", 3, location="EUR"), read_at("fabrikam", 24 * (28 + 4 * seed))
    ]  # fmt: skip
    rows.load(pipeline)
    settings = Protection(Services(expected=frozenset({"teams", "exchange_online"})))
    marts.update_views(pipeline, settings)
    expected = plain(truth.protection_status(rows, settings))
    assert len({row[8] for row in expected}) >= 2
    assert content(pipeline, "protection_status") == expected


def test_a_missed_service_is_a_separate_problem_with_its_text(pipeline: dlt.Pipeline) -> None:
    rows = Rows(
        [good(40), good(2, object_type="onedrive")],
        [Read(), Read("onedrive"), Read("power_bi")],
        companions(
            schedule("exchange_online", ONCE, LONG_AGO),
            schedule("onedrive", FOUR, LONG_AGO),
            schedule("power_bi", FOUR, LONG_AGO),
            companion_loads=[read_at("contoso")],
        ),
    )
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    with open_scope(pipeline) as scope:
        evaluation = evaluate_scope(scope, pipeline, (), 1_000_000)
    assert [
        (problem.kind, problem.object_type, problem.text)
        for problem in evaluation.problems
        if problem.tenant == "contoso"
    ] == [
        (
            "missed",
            "exchange_online",
            "no backup ran for 40 h before the data ends, although one is scheduled every 24 h; the last success was "
            f"{ago(40):%Y-%m-%d %H:%M} UTC",
        ),
        ("missed", "power_bi", "no backup has ever started, although one is scheduled every 6 h"),
    ]
    assert [check.severity for check in CHECKS if check.kind == "missed"] == ["problem"]
