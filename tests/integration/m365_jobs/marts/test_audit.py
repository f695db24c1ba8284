"""Test the content and the digest of an audit report, on each destination."""

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dlt
import pytest
from m365_jobs import marts
from m365_jobs.config.protection import Protection
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.reports.audit import Audit, Period, audit_period, read_audit, select_period
from m365_jobs.reports.audit_report import audit_csv, audit_html
from m365_jobs.warehouse.tenant_scope import open_scope

from tests.integration.m365_jobs.marts.rows import NOW, Error, Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_companion_marts import companions, policy, schedule

PERIOD = Period(datetime(2026, 3, 15, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC))
PLACE = ("contoso", None, "exchange_online")


def story() -> Rows:
    """Return five days with two backups a day: one failed, one missed, and a restore that worked."""
    jobs = []
    for number in range(12):
        start = datetime(2026, 3, 14, 12, tzinfo=UTC) + timedelta(hours=12 * number, minutes=1)
        if number == 5:
            continue
        failed = number == 3
        errors = (Error("Access denied", 3), Error("Throttled")) if failed else ()
        jobs.append(
            Job(
                f"B{number:02}",
                start + timedelta(minutes=30),
                "Failed" if failed else "Finished",
                start=start,
                errors=errors,
            )
        )
    restored = datetime(2026, 3, 16, 9, tzinfo=UTC)
    jobs += [
        Job("R1", restored, job_type="restore", start=restored - timedelta(hours=1), successful=7),
        Job("R2", restored + timedelta(days=1), "Failed", job_type="restore", start=restored, successful=0),
        # After the period: not part of its evidence.
        Job("R3", ago(2), job_type="restore", start=ago(3), successful=9),
    ]
    settings = companions(
        schedule("exchange_online", [0, 720], datetime(2026, 3, 15, tzinfo=UTC)),
        retention_policies=[policy("default", "7 years", 2555, 300, 48), policy("default", "1 years", 365, 48, None)],
        companion_loads=[
            {"tenant": "contoso", "id": str(at), "companion": "retention", "status": "loaded", "asked_at": ago(at)}
            for at in (72.01, 48.01)
        ],
    )
    return Rows(jobs, [Read()], settings)


def audit(pipeline: dlt.Pipeline, period: Period = PERIOD) -> Audit:
    with open_scope(pipeline) as scope:
        return read_audit(scope, period)


def values(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows]


def test_an_audit_has_met_and_failed_backups_with_reasons_and_completeness(pipeline: dlt.Pipeline) -> None:
    story().load(pipeline)
    marts.update_views(pipeline, Protection())
    report = audit(pipeline)
    sections = report.sections
    # Ten slots from 15 to 19 March. The slot of the 17th at 00:00 has no backup, and that of the 16th at 00:00 failed.
    assert values(sections["schedule"]) == [(*PLACE, 10, 9, 8, 1, 0, date(2026, 3, 15), date(2026, 3, 19))]
    assert values(sections["backups"]) == [(*PLACE, 9, 8, 0, 1)]
    assert [(row["outcome"], row["reason"], row["backups"]) for row in sections["failures"]] == [
        ("failure", "Access denied", 1),
        ("failure", "Throttled", 1),
    ]
    restored = datetime(2026, 3, 16, 9, tzinfo=UTC)
    assert values(sections["restores"]) == [(*PLACE, restored, "R1", 1.0, 7, 2, 1)]
    assert [(row["retention_period"], row["valid_to"]) for row in sections["retention"]] == [("1 years", None)]
    assert [
        (row["change"], row["old_value"], row["new_value"], row["changed_after"], row["changed_before"])
        for row in sections["changes"]
    ] == [("shortened", "7 years", "1 years", ago(72.01), ago(48))]
    assert [(row["object_type"], row["complete_until"], row["covers_period"]) for row in sections["completeness"]] == [
        ("exchange_online", NOW, True)
    ]
    assert report.jobs == 11
    assert report.rows == sum(map(len, sections.values())) + report.jobs


def test_the_retention_is_that_of_the_end_of_the_period(pipeline: dlt.Pipeline) -> None:
    story().load(pipeline)
    marts.update_views(pipeline, Protection())
    before = audit(pipeline, replace(PERIOD, until=datetime(2026, 3, 17, tzinfo=UTC)))
    assert [row["retention_period"] for row in before.sections["retention"]] == ["7 years"]
    assert before.sections["changes"] == []


def test_the_digest_is_that_of_the_rows_wherever_they_are(pipeline: dlt.Pipeline) -> None:
    rows = story()
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    first = audit(pipeline)
    assert (first.digest, first.jobs_digest) == (audit(pipeline).digest, audit(pipeline).jobs_digest)
    assert first.jobs_digest == "0fa9f07b690cd242296ee558ee89294a17c83ec21a0d739fc034377e1577f863"
    with pipeline.sql_client() as client:
        client.execute_sql("UPDATE m365_jobs.jobs SET state = 'Failed' WHERE id = 'B04'")
    changed = audit(pipeline)
    assert changed.digest != first.digest
    assert changed.jobs_digest != first.jobs_digest


def test_an_error_without_a_text_is_a_failure_without_a_reason(pipeline: dlt.Pipeline) -> None:
    failed = [
        Job(f"F{number}", ago(20), "Failed", errors=errors)
        for number, errors in enumerate(((Error(""),), (Error(None),), (), (Error(""), Error("Throttled"))))
    ]
    Rows(failed, [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    failures = audit(pipeline).sections["failures"]
    assert [(row["reason"], row["backups"]) for row in failures] == [("no reason given", 4), ("Throttled", 1)]


def test_of_restores_that_ended_at_once_the_audit_names_the_one_of_the_view(pipeline: dlt.Pipeline) -> None:
    restores = [Job(name, ago(20), job_type="restore", start=ago(21)) for name in ("R1", "R2", "r0")]
    Rows(restores, [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    with open_scope(pipeline) as scope:
        evidence = scope.rows("SELECT r.last_restore_id FROM restore_evidence AS r")
    assert [row["last_restore_id"] for row in audit(pipeline).sections["restores"]] == ["r0"]
    assert evidence == [{"last_restore_id": "r0"}]


def test_an_audit_has_no_services_that_loads_only_asked_for(pipeline: dlt.Pipeline) -> None:
    jobs = [Job(f"B{place}", ago(20), location=place) for place in ("NAM", "EUR")]
    restored = Job("R1", ago(20), object_type="teams", job_type="restore", location="EUR")
    scheduled = companions(schedule("exchange_online", [0, 720], datetime(2026, 3, 15, tzinfo=UTC), location="EUR"))
    reads = [Read(name, location=place) for name in ("exchange_online", "teams") for place in (None, "NAM", "EUR")]
    Rows([*jobs, restored], reads, scheduled).load(pipeline)
    marts.update_views(pipeline, Protection())
    report = audit(pipeline)
    rows = {(row["location"], row["object_type"]): row for row in csv.DictReader(io.StringIO(audit_csv(report)))}
    assert {key: (row["scheduled"], row["backups"], row["covers_period"]) for key, row in rows.items()} == {
        ("EUR", "exchange_online"): ("10", "1", "True"),
        ("EUR", "teams"): ("0", "0", "True"),
        ("NAM", "exchange_online"): ("", "1", "True"),
    }
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", audit_html(report, (), UTC, "A4")))
    assert "2 services without a proved restore" in page
    assert "NAM Exchange Online unknown unknown unknown unknown 1" in page
    assert "EUR Teams 0 0 0 0 0 0 0" in page


def test_the_retention_of_a_service_without_an_object_type_is_that_of_no_other(pipeline: dlt.Pipeline) -> None:
    channels = {"service": "Private Channel", "object_type": None}
    policies = [
        policy("default", "7 years", 2555, 300, None),
        policy("service", "1 years", 365, 300, None, service="Teams", object_type="teams"),
        policy("service", "90 days", 90, 300, 48, **channels),
        policy("service", "30 days", 30, 48, None, **channels),
    ]
    jobs = [Job("B1", ago(20)), Job("B2", ago(20), object_type="teams")]
    Rows(jobs, [Read(), Read("teams")], companions(retention_policies=policies)).load(pipeline)
    marts.update_views(pipeline, Protection())
    rows = {row["object_type"]: row for row in csv.DictReader(io.StringIO(audit_csv(audit(pipeline))))}
    assert {name: (row["retention_period"], row["settings_changes"]) for name, row in rows.items()} == {
        "exchange_online": ("7 years", ""),
        "teams": ("1 years", ""),
    }
    assert [row["service"] for row in audit(pipeline).sections["changes"]] == ["Private Channel"]


def test_the_period_is_the_last_whole_days() -> None:
    assert audit_period(30, datetime(2026, 3, 20, 6, 30, tzinfo=UTC)) == Period(
        datetime(2026, 2, 18, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC)
    )


def test_the_csv_has_a_row_for_each_service_with_reasons_evidence_retention_and_digest(
    pipeline: dlt.Pipeline,
) -> None:
    story().load(pipeline)
    marts.update_views(pipeline, Protection())
    report = audit(pipeline)
    (row,) = csv.DictReader(io.StringIO(audit_csv(report)))
    assert row == {
        "period_from": "2026-03-15 00:00:00+00:00",
        "period_until": "2026-03-20 00:00:00+00:00",
        "tenant": "contoso",
        "location": "",
        "object_type": "exchange_online",
        "scheduled": "10",
        "ran": "9",
        "met": "8",
        "missed": "1",
        "skipped": "0",
        "backups": "9",
        "succeeded": "8",
        "warnings": "0",
        "failed": "1",
        "failure_reasons": "failure: Access denied (1); failure: Throttled (1)",
        "last_restore_at": row["last_restore_at"],
        "last_restore_id": "R1",
        "last_restore_hours": "1.0",
        "last_restore_objects": "7",
        "restores_tried": "2",
        "restores_failed": "1",
        "retention_period": "1 years",
        "retention_days": "365",
        "settings_changes": "retention: shortened from 7 years to 1 year, read first 2026-03-18 06:00 UTC",
        "complete_until": row["complete_until"],
        "covers_period": "True",
        "rows": str(report.rows),
        "sha256": report.digest,
        "jobs": "11",
        "jobs_sha256": report.jobs_digest,
    }
    assert datetime.fromisoformat(row["last_restore_at"]) == datetime(2026, 3, 16, 9, tzinfo=UTC)
    assert datetime.fromisoformat(row["complete_until"]) == NOW


def test_the_audit_page_has_met_backups_and_its_digests(pipeline: dlt.Pipeline) -> None:
    story().load(pipeline)
    marts.update_views(pipeline, Protection())
    report = audit(pipeline)
    page = audit_html(report, ["contoso"], UTC, "A4")
    words = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())
    assert "8 of 10 scheduled backups met 1 missed 0 skipped 1 failed 0 services without a proved restore" in words
    assert "Exchange Online 10 8 1 0 9 1 0" in words
    assert "failure Access denied 1 " in words
    assert "2026-03-16 09:00 UTC R1 7 2 1" in words
    assert "2026-03-18 06:00 UTC retention All services shortened 7 years 1 year" in words
    assert "Default All services 1 year" in words
    assert f"made from {report.rows} rows. Their SHA-256 is {report.digest}" in words
    assert "contoso, audit" not in words
    assert audit_html(None, [], UTC, "A4").count("Nothing is loaded yet.") >= 1


def test_the_options_of_the_period_exclude_each_other() -> None:
    day = datetime(2026, 2, 5, tzinfo=UTC)
    assert select_period(7, date(2026, 2, 1), None, None) == Period(
        datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    )
    assert select_period(7, None, day, day + timedelta(hours=5)) == Period(day, day + timedelta(hours=5))
    assert select_period(7, None, day, None).until == audit_period(1).until
    assert select_period(7, None, None, None) == audit_period(7)
    for month, since, until in ((date(2026, 2, 1), day, None), (None, None, day), (None, day, day)):
        with pytest.raises(UsageError):
            select_period(7, month, since, until)


def test_a_period_that_has_not_begun_is_refused() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(UsageError, match="lies in the future"):
        select_period(7, None, tomorrow, tomorrow + timedelta(days=1))
