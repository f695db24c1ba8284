"""Test what is known of a schedule that loads no longer read, on each destination."""

from typing import Any

import dlt
from m365_jobs import marts
from m365_jobs.config.protection import Protection
from m365_jobs.marts.catalog import questions

from tests.integration.m365_jobs.marts import companion_truth, truth
from tests.integration.m365_jobs.marts.rows import Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_companion_health import findings_by_kind
from tests.integration.m365_jobs.marts.test_companion_marts import DAY, companions, read_schedule, schedule
from tests.integration.m365_jobs.marts.test_context_sections import shown
from tests.integration.m365_jobs.marts.test_numbers import content, plain

NIGHTLY, TWICE = [60], [60, 780]


def nightly(tenant: str = "contoso") -> list[Job]:
    """Return 60 backups that started at 01:00, except on three days: 31, 28 and 2 days ago."""
    days = [day for day in range(60) if day not in (31, 28, 2)]
    return [Job(f"J{day:02}", ago(DAY * day + 4), start=ago(DAY * day + 5), tenant=tenant) for day in days]


def load(pipeline: dlt.Pipeline, rows: Rows) -> None:
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())


def days_of(pipeline: dlt.Pipeline) -> dict[str, list[tuple[int, int]]]:
    """Return scheduled and missed backups of each day by tenant, oldest first."""
    result: dict[str, list[tuple[int, int]]] = {}
    for row in sorted(content(pipeline, "schedule_compliance"), key=lambda row: row[3]):
        result.setdefault(row[0], []).append((row[4], row[7]))
    return result


def unread(last_read: float) -> Rows:
    """Return a tenant whose schedule of 60 days ago was read last so many days ago; permission is missing since."""
    reads: list[dict[str, Any]] = [read_schedule(DAY * days) for days in (60, last_read)]
    reads += [read_schedule(DAY * days, "permission_missing") for days in (last_read - 1, 1)]
    plans = companions(schedule("exchange_online", NIGHTLY, ago(DAY * 60)), companion_loads=reads)
    return Rows(nightly(), [Read()], plans)


def test_a_schedule_that_was_read_within_30_days_counts(pipeline: dlt.Pipeline) -> None:
    rows = unread(last_read=30)
    load(pipeline, rows)
    assert content(pipeline, "schedule_compliance") == plain(companion_truth.schedule_compliance(rows))
    counts = days_of(pipeline)["contoso"]
    assert (len(counts), sum(missed for _, missed in counts)) == (60, 3)
    assert [item.text for item in findings_by_kind(pipeline)["missed_backup"]] == [
        "1 of 4 scheduled backups since 2026-03-17 did not start in time, the last on 2026-03-18"
    ]
    assert [row[6] for row in content(pipeline, "recovery_point")] == [24.0]
    assert [row[11] for row in content(pipeline, "protection_status")] == [24.0]


def test_after_30_days_without_a_read_nothing_is_expected_or_missed(pipeline: dlt.Pipeline) -> None:
    rows = unread(last_read=40)
    load(pipeline, rows)
    assert content(pipeline, "schedule_compliance") == plain(companion_truth.schedule_compliance(rows))
    # Known until 10 days ago.
    counts = days_of(pipeline)["contoso"]
    assert (len(counts), sum(missed for _, missed in counts)) == (50, 2)
    assert max(row[3] for row in content(pipeline, "schedule_compliance")) == ago(DAY * 10).date()
    assert findings_by_kind(pipeline) == {}
    assert [row[6] for row in content(pipeline, "recovery_point")] == [None]
    status = content(pipeline, "protection_status")
    assert status == plain(truth.protection_status(rows, Protection()))
    assert [(row[8], row[11]) for row in status] == [("protected", None)]
    with pipeline.sql_client() as client:
        known = client.execute_sql("SELECT last_read_at FROM m365_jobs.current_backup_schedules") or []
    assert [row[0] for row in known] == [ago(DAY * 40)]


def test_days_between_two_versions_are_unknown_from_30_days_after_the_read_of_the_first(
    pipeline: dlt.Pipeline,
) -> None:
    """Test a permission that was missing for months. The schedule changed meanwhile, on an unknown day."""
    plans = companions(
        schedule("exchange_online", TWICE, ago(DAY * 60), ago(DAY * 5)),
        schedule("exchange_online", NIGHTLY, ago(DAY * 5)),
        companion_loads=[
            read_schedule(DAY * 60 + 0.1),
            read_schedule(DAY * 45 + 0.1),
            read_schedule(DAY * 30, "failed"),
            # Another location and another companion say nothing of it.
            read_schedule(DAY * 20, location="EUR"),
            read_schedule(DAY * 20, companion="retention"),
            # This one read the new version, a moment before that became valid.
            read_schedule(DAY * 5 + 0.1),
        ],
    )
    rows = Rows(nightly(), [Read()], plans)
    load(pipeline, rows)
    answer = content(pipeline, "schedule_compliance")
    assert answer == plain(companion_truth.schedule_compliance(rows))
    days = [(ago(0).date() - row[3]).days for row in answer]
    assert sorted(days) == [*range(5), *range(15, 61)]


def test_a_version_that_was_read_again_counts_for_the_time_between(pipeline: dlt.Pipeline) -> None:
    reads = [read_schedule(DAY * 60), read_schedule(DAY * 59), read_schedule(1)]
    rows = Rows(
        nightly(),
        [Read()],
        companions(schedule("exchange_online", NIGHTLY, ago(DAY * 60)), companion_loads=reads),
    )
    load(pipeline, rows)
    answer = content(pipeline, "schedule_compliance")
    assert answer == plain(companion_truth.schedule_compliance(rows))
    assert len(answer) == 60


def test_a_page_says_when_a_schedule_that_is_no_longer_read_was_read_last(pipeline: dlt.Pipeline) -> None:
    sentence = "The schedule was last read at {} UTC; from 30 days after that, it counts as unknown."
    load(pipeline, unread(last_read=2))
    summary, words = shown(pipeline, "contoso")[1]["schedule"]
    assert summary == "4 of 5 met, 1 missed"
    assert "last read" not in words
    load(pipeline, unread(last_read=34))
    summary, words = shown(pipeline, "contoso")[1]["schedule"]
    assert summary == "1 of 1 met, 0 missed"
    assert words.endswith(f"the one before was still running. {sentence.format('2026-02-14 06:00')}")
    load(pipeline, unread(last_read=40))
    summary, words = shown(pipeline, "contoso")[1]["schedule"]
    assert summary == "unknown"
    assert words.endswith(f"the one before was still running. {sentence.format('2026-02-08 06:00')}")


def test_the_question_about_missed_backups_leaves_out_those_of_long_ago(pipeline: dlt.Pipeline) -> None:
    question = next(item for item in questions() if item.name == "14_missed_backups")
    # The schedule is known until 27 days ago; the backup of the day before was missed.
    for last_read, missed in ((1, 1), (57, 0)):
        load(pipeline, unread(last_read))
        with pipeline.sql_client() as client:
            assert [row[4] for row in client.execute_sql(question.sql) or []] == [missed] * missed
