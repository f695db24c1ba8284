"""Test what health finds in the rows of the companions, on each destination."""

from datetime import timedelta
from typing import Any

import dlt
import pytest
from m365_jobs import marts
from m365_jobs.config.protection import Protection
from m365_jobs.health.checks import CHECKS
from m365_jobs.health.finding import Finding
from m365_jobs.health.run_checks import history_begins, run_checks
from m365_jobs.warehouse.tenant_scope import open_scope

from tests.integration.m365_jobs.marts.rows import NOW, Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_companion_marts import companions, policy, schedule, snapshot

KINDS = {
    "missed_backup",
    "out_of_policy",
    "license_nearly_used",
    "unusual_activity",
    "retention_shortened",
    "restore_untested",
}


def findings_by_kind(pipeline: dlt.Pipeline) -> dict[str, list[Finding]]:
    kinds: dict[str, list[Finding]] = {}
    with open_scope(pipeline) as scope:
        protection = [row | {"was": row["status"]} for row in scope.rows("SELECT * FROM protection_status AS p")]
        for finding in run_checks(scope, history_begins(scope), protection):
            if finding.kind in KINDS:
                kinds.setdefault(finding.kind, []).append(finding)
    return kinds


def load(pipeline: dlt.Pipeline, jobs: tuple[Job, ...] = (), **tables: Any) -> None:
    Rows([Job("B1", ago(3), start=ago(4)), *jobs], [Read()], companions(**tables)).load(pipeline)
    marts.update_views(pipeline, Protection())


def test_there_is_no_finding_if_all_is_well_or_unknown(pipeline: dlt.Pipeline) -> None:
    load(pipeline, license_consumption=[snapshot()])
    assert findings_by_kind(pipeline) == {}


def test_each_kind_of_finding_is_reported_as_text(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__AVEPOINT_M365__RESTORE_TEST_DAYS", "365")
    exchange = {"service": "Exchange Online", "object_type": "exchange_online"}
    load(
        pipeline,
        (Job("R1", ago(24 * 400), job_type="restore", start=ago(24 * 400 + 1)),),
        license_consumption=[snapshot(assigned_user_seats=460, out_of_policy_at=ago(30))],
        unusual_activity=[
            {
                "tenant": "contoso",
                "id": "1",
                "day": (NOW - timedelta(days=1)).date(),
                "object_type": "exchange_online",
                "potential_ransomware_attack_count": 2,
                "unusual_activities_count": 1,
            }
        ],
        retention_policies=[
            policy("service", "7 years", 2555, 72, 24, **exchange),
            policy("service", "1 years", 365, 24, None, **exchange),
        ],
        companion_loads=[
            {"tenant": "contoso", "id": str(at), "companion": "retention", "status": "loaded", "asked_at": ago(at)}
            for at in (72.01, 24.01)
        ],
    )
    findings = findings_by_kind(pipeline)
    assert {kind: [(item.object_type, item.text) for item in some] for kind, some in findings.items()} == {
        "out_of_policy": [
            (
                None,
                "out of policy since 2026-03-19 00:00 UTC: objects that are new since then are not backed up, although "
                "jobs succeed",
            )
        ],
        "license_nearly_used": [(None, "460 of 500 seats in use; 1,000 of 2,000 GB in use")],
        "unusual_activity": [
            (
                "exchange_online",
                "2 sites with a potential ransomware attack and 1 site with unusual activity on 2026-03-19",
            )
        ],
        "retention_shortened": [
            (
                "exchange_online",
                "retention (service Exchange Online) was shortened from 7 years to 1 year, between the loads of "
                "2026-03-17 05:59 UTC and 2026-03-19 06:00 UTC",
            )
        ],
        "restore_untested": [("exchange_online", "the last successful restore was 2025-02-13 06:00 UTC, 400 days ago")],
    }
    assert {item.severity for some in findings.values() for item in some if item.kind == "out_of_policy"} == {"problem"}
    assert {check.kind for check in CHECKS} >= KINDS


def test_a_policy_that_ends_soon_is_a_warning_and_untested_restores_are_off_by_default(pipeline: dlt.Pipeline) -> None:
    load(pipeline, license_consumption=[snapshot(out_of_policy_at=NOW + timedelta(days=10))])
    assert {kind: some[0].text for kind, some in findings_by_kind(pipeline).items()} == {
        "license_nearly_used": "400 of 500 seats in use; 1,000 of 2,000 GB in use; "
        "the policy ends on 2026-03-30 06:00 UTC"
    }


def test_a_response_without_the_policy_does_not_end_what_an_earlier_one_said(pipeline: dlt.Pipeline) -> None:
    yesterday = {"id": "yesterday", "day": (NOW - timedelta(days=1)).date(), "snapshot_at": ago(24)}
    load(pipeline, license_consumption=[snapshot(), snapshot(out_of_policy_at=ago(30), **yesterday)])
    assert set(findings_by_kind(pipeline)) == {"out_of_policy"}
    load(pipeline, license_consumption=[snapshot(out_of_policy_time_raw=0)])
    assert findings_by_kind(pipeline) == {}


FOUR = [0, 360, 720, 1080]


def loaded_schedule() -> dict[str, Any]:
    return {"tenant": "contoso", "id": "s", "companion": "schedule", "status": "loaded", "asked_at": ago(1)}


def missed(pipeline: dlt.Pipeline, without: tuple[int, ...], jobs: tuple[Job, ...] = ()) -> list[tuple[str, str]]:
    """Return severity and text of ``missed_backup``, for a service with four backups a day.

    The backups whose numbers are in ``without`` are missed. The one of 06:00 is due at NOW.
    """
    due = [number for number in range(40) if number not in without]
    ran = tuple(Job(f"J{number}", ago(6 * number - 1), start=ago(6 * number - 0.1)) for number in due if number)
    rows = companions(schedule("exchange_online", FOUR, ago(24 * 10)), companion_loads=[loaded_schedule()])
    Rows([*ran, *jobs], [Read()], rows).load(pipeline)
    marts.update_views(pipeline, Protection())
    return [(result.severity, result.text) for result in findings_by_kind(pipeline).get("missed_backup", [])]


def test_a_missed_backup_is_a_warning_although_the_next_backup_ran(pipeline: dlt.Pipeline) -> None:
    assert missed(pipeline, without=()) == []
    assert missed(pipeline, without=(3,)) == [
        ("warning", "1 of 13 scheduled backups since 2026-03-17 did not start in time, the last on 2026-03-19")
    ]
    assert missed(pipeline, without=(3, 9)) == [
        ("warning", "2 of 13 scheduled backups since 2026-03-17 did not start in time, the last on 2026-03-19")
    ]


def test_a_missed_backup_is_over_after_three_days_and_a_skipped_one_is_no_miss(pipeline: dlt.Pipeline) -> None:
    assert missed(pipeline, without=(18,)) == []
    long = Job("LONG", ago(17), start=ago(23.9))
    assert missed(pipeline, without=(3, 4), jobs=(long,)) == []


def test_a_missed_backup_is_no_finding_if_no_backup_ran_at_all(pipeline: dlt.Pipeline) -> None:
    assert missed(pipeline, without=(0, 1, 2)) == []
