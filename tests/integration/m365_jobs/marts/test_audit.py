"""What an audit report says of a period, and its digest, on each destination."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dlt
from m365_jobs import marts
from m365_jobs.reports.audit import Audit, Period, audit_period, read_audit
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
        # After the period: no evidence for it.
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


def test_an_audit_says_what_was_met_what_failed_why_and_how_complete_it_is(pipeline: dlt.Pipeline) -> None:
    story().load(pipeline)
    marts.ensure(pipeline, marts.Protection())
    found = audit(pipeline)
    sections = found.sections
    # Ten slots from 15 to 19 March; that of the 17th at 00:00 has no backup, and that of the 16th at 00:00 failed.
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
    assert found.jobs == 11
    assert found.rows == sum(map(len, sections.values())) + found.jobs


def test_the_retention_is_that_of_the_end_of_the_period(pipeline: dlt.Pipeline) -> None:
    story().load(pipeline)
    marts.ensure(pipeline, marts.Protection())
    before = audit(pipeline, replace(PERIOD, until=datetime(2026, 3, 17, tzinfo=UTC)))
    assert [row["retention_period"] for row in before.sections["retention"]] == ["7 years"]
    assert before.sections["changes"] == []


def test_the_digest_is_that_of_the_rows_wherever_they_are(pipeline: dlt.Pipeline) -> None:
    rows = story()
    rows.load(pipeline)
    marts.ensure(pipeline, marts.Protection())
    first = audit(pipeline)
    assert (first.digest, first.jobs_digest) == (audit(pipeline).digest, audit(pipeline).jobs_digest)
    assert first.jobs_digest == "0fa9f07b690cd242296ee558ee89294a17c83ec21a0d739fc034377e1577f863"
    with pipeline.sql_client() as client:
        client.execute_sql("UPDATE m365_jobs.jobs SET state = 'Failed' WHERE id = 'B04'")
    changed = audit(pipeline)
    assert changed.digest != first.digest
    assert changed.jobs_digest != first.jobs_digest


def test_the_period_is_the_last_whole_days() -> None:
    assert audit_period(30, datetime(2026, 3, 20, 6, 30, tzinfo=UTC)) == Period(
        datetime(2026, 2, 18, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC)
    )
