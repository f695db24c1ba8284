"""Test that the example questions of the documentation give the right answers, unchanged, on each destination."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import dlt
from m365_jobs import marts
from m365_jobs.config.protection import Protection
from m365_jobs.marts.catalog import questions
from m365_jobs.marts.docs import page

from tests.integration.m365_jobs.marts.rows import NOW, Error, Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_companion_marts import companions, schedule
from tests.integration.m365_jobs.marts.test_numbers import plain
from tests.support.project import ROOT

KB = "https://kb/locked"


def story() -> Rows:
    """Return three weeks of a tenant in which each question finds something. NOW is a Friday, 06:00 UTC."""
    jobs = []
    for day in range(6):
        finish = ago(24 * day + 5)
        # A backup of Exchange is half an hour longer each day; OneDrive alternates between one hour and two.
        jobs.append(Job(f"EX{day}", finish, start=finish - timedelta(hours=4 - day / 2), location="EUR"))
        length = timedelta(hours=1 + day % 2)
        jobs.append(Job(f"OD{day}", finish, start=finish - length, object_type="onedrive", location="NAM"))
    locked, throttled = Error("Locked", 4, KB), Error("Throttled", None)
    jobs += [
        Job("SP1", ago(30), "Finished", object_type="sharepoint_online", start=ago(31), total=0),
        Job(
            *("SP2", ago(3), "Failed"),
            object_type="sharepoint_online",
            start=ago(4),
            failed=40,
            errors=(throttled, locked),
        ),
        Job("SP3", ago(200), "Failed", object_type="sharepoint_online", start=ago(201), failed=10, errors=(throttled,)),
        Job("RE1", ago(50), job_type="restore", start=ago(51), total=7),
        Job("RE2", ago(2), "Failed", job_type="restore", start=ago(3), total=5, errors=(Error("No space"),)),
        Job("RE3", None, "In Progress", job_type="restore", start=ago(25)),
        Job("XX1", ago(40), "On Hold", job_type="deletion", start=ago(41)),
    ]
    done = ("exchange_online", "EUR"), ("onedrive", "NAM"), ("exchange_online", None)
    reads = [Read(item, location=where) for item, where in done]
    reads += [Read("sharepoint_online", complete=False), Read("sharepoint_online", until=ago(2))]
    return Rows(jobs, [*reads, Read("sharepoint_online", until=ago(900), at=ago(-1))], settings())


def settings() -> dict[str, Any]:
    """Return settings that all jobs follow except those of OneDrive in NAM, whose noon backups never start."""
    yesterday = (NOW - timedelta(days=1)).date()
    licence = {
        "day": NOW.date(),
        "purchased_user_seats": 500,
        "assigned_user_seats": 400,
        "purchased_storage_gb": 2000.0,
        "protected_size_gb": 1000.0,
        "out_of_policy_at": ago(30),
        "snapshot_at": NOW,
    }
    activity = {
        "day": yesterday,
        "object_type": "sharepoint_online",
        "potential_ransomware_attack_count": 3,
        "unusual_activities_count": 5,
    }
    retention = {"setting_scope": "contoso/", "level": "default"}
    key = {"tenant": "contoso", "id": "1"}
    return companions(
        schedule("exchange_online", [21 * 60], ago(60), location="EUR"),
        schedule("onedrive", [30, 12 * 60 + 30], ago(60), location="NAM"),
        license_consumption=[key | licence],
        unusual_activity=[key | activity],
        retention_policies=[
            key | retention | {"retention_period": "7 years", "valid_from": ago(60), "valid_to": ago(24)},
            {**key, "id": "2", **retention, "retention_period": "1 years", "valid_from": ago(24)},
        ],
        companion_loads=[
            {**key, "id": str(at), "companion": "retention", "status": "loaded", "asked_at": ago(at)}
            for at in (60.1, 24.1)
        ],
    )


CONTOSO, EUR, NAM = "contoso", "EUR", "NAM"
MON, MON_BEFORE = date(2026, 3, 16), date(2026, 3, 9)

ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "01_unprotected": [
        (CONTOSO, None, "sharepoint_online", "unknown", ago(30), None),
    ],
    "02_failed_last_day": [
        (CONTOSO, None, "exchange_online", "restore", "RE2", ago(2), 0, "No space"),
        (CONTOSO, None, "sharepoint_online", "backup", "SP2", ago(3), 40, "Locked"),
    ],
    "03_top_errors": [
        ("sharepoint_online", "Locked", 4, 0, 4),
        ("sharepoint_online", "Throttled", 1, 1, 0),
        ("exchange_online", "No space", 1, 0, 1),
    ],
    "04_success_rate": [
        (None, MON_BEFORE, 1, 0.0),
        (None, MON, 2, 50.0),
        (EUR, MON_BEFORE, 1, 100.0),
        (EUR, MON, 5, 100.0),
        (NAM, MON_BEFORE, 1, 100.0),
        (NAM, MON, 5, 100.0),
    ],
    "05_slower_every_day": [(CONTOSO, EUR, "exchange_online", 2.5, 4.0)],
    "06_open_too_long": [(CONTOSO, None, "exchange_online", "restore", "RE3", ago(25), 25.0)],
    # Of SharePoint no load is proved complete: the end of its data is not known.
    "07_longest_gap": [
        (CONTOSO, EUR, "exchange_online", 6, 24.0, ago(125)),
        (CONTOSO, NAM, "onedrive", 6, 24.0, ago(125)),
    ],
    "08_failed_objects": [("sharepoint_online", 200, 50, 25.0)],
    "09_empty_backups": [(CONTOSO, None, "sharepoint_online", 1, ago(30))],
    "10_restores": [
        ("exchange_online", "restore", "failure", 1, 5, ago(2)),
        ("exchange_online", "restore", "success", 1, 7, ago(50)),
    ],
    "11_jobs_of_an_error": [(CONTOSO, None, "sharepoint_online", "SP2", "Failed", ago(3), 4, KB)],
    # SharePoint has two listings in one load: the load is complete only if both are.
    "12_complete": [
        (CONTOSO, None, "sharepoint_online", None, False, None, ago(-1)),
        (CONTOSO, None, "exchange_online", NOW, True, NOW, NOW),
        (CONTOSO, EUR, "exchange_online", NOW, True, NOW, NOW),
        (CONTOSO, NAM, "onedrive", NOW, True, NOW, NOW),
    ],
    "13_unknown_states": [("On Hold", 1, ago(41), ago(41))],
    # At 00:30 on the 19th, the backup that began at 23:00 was still running.
    "14_missed_backups": [(CONTOSO, NAM, "onedrive", 5, 2, 1, date(2026, 3, 19))],
    "15_licences": [(CONTOSO, None, NOW.date(), "out of policy", ago(30), 0.8, None, 0.5, None)],
    "16_restore_tests": [
        (CONTOSO, None, "sharepoint_online", None, None, None, 0, 0),
        (CONTOSO, EUR, "exchange_online", None, None, None, 0, 0),
        (CONTOSO, NAM, "onedrive", None, None, None, 0, 0),
        (CONTOSO, None, "exchange_online", ago(50), 50 / 24, 1.0, 2, 1),
    ],
    "17_retention_changes": [
        (CONTOSO, None, "retention", "default", None, None, "changed", "7 years", "1 years", ago(60.1), ago(24)),
    ],
    "18_recovery_points": [(CONTOSO, NAM, "onedrive", 24.0, 12.0, ago(125), 6)],
    "19_suspicious_days": [
        (CONTOSO, None, "sharepoint_online", None, date(2026, 3, 19), "activity", 3, 5, 0, None),
    ],
}


def test_each_question_is_answered(pipeline: dlt.Pipeline) -> None:
    story().load(pipeline)
    marts.update_views(pipeline, Protection())
    with pipeline.sql_client() as client:
        results = {question.name: client.execute_sql(question.sql) or [] for question in questions()}
    answers = {name: [tuple(map(_number, row)) for row in rows] for name, rows in results.items()}
    assert {name: plain(rows) for name, rows in answers.items()} == {name: plain(r) for name, r in ANSWERS.items()}
    for name in ("02_failed_last_day", "03_top_errors", "07_longest_gap"):
        assert answers[name] == ANSWERS[name]


def test_backups_that_took_no_time_or_less_do_not_break_the_question_of_those_that_grow(
    pipeline: dlt.Pipeline,
) -> None:
    # For each service, the hours of its daily backups, the newest first.
    grown = {
        "exchange_online": (4, 3, 2, 1, 0.5),
        "teams": (4, 3, 2, 0, -1),
        "onedrive": (4, 3, 2, -1, -2),
    }
    jobs = [
        Job(f"{service}{day}", ago(2 + 24 * day), object_type=service, start=ago(2 + 24 * day + hours))
        for service, days in grown.items()
        for day, hours in enumerate(days)
    ]
    Rows(jobs, [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    question = next(item for item in questions() if item.name == "05_slower_every_day")
    with pipeline.sql_client() as client:
        results = [tuple(row[2:]) for row in client.execute_sql(question.sql) or []]
    assert results == [("teams", 0.0, 4.0), ("exchange_online", 1.0, 4.0), ("onedrive", -1.0, 4.0)]


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def test_the_page_of_the_documentation_is_what_the_descriptions_make() -> None:
    written = ROOT / "docs" / "warehouse.md"
    assert written.read_text(encoding="utf-8") == page(), "Run: make docs"
