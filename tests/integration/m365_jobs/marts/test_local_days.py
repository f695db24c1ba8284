"""Test the days of a tenant's own time zone, beside UTC days."""

from datetime import UTC, datetime, timedelta

import dlt
from m365_jobs import marts
from m365_jobs.config.protection import Protection
from m365_jobs.marts.catalog import VIEWS

from tests.integration.m365_jobs.marts import truth
from tests.integration.m365_jobs.marts.rows import Job, Read, Rows
from tests.integration.m365_jobs.marts.test_numbers import content, plain

ZONES = {"": "Europe/Berlin", "contoso": "Asia/Kolkata", "fabrikam": "America/New_York", "northwind": "UTC"}
CHANGES = datetime(2025, 10, 25, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC)
"""Days before a clock change: Berlin back, New York back, New York forward."""


def around_changes_of_the_clock() -> Rows:
    """Return jobs that end every half hour for three days, for tenants with and without their own time zone."""
    return Rows(
        [
            Job(f"{tenant}{change:%m%d}{half:03}", finish, tenant=tenant, start=finish - timedelta(hours=1))
            for tenant in ("contoso", "fabrikam", "northwind", "others")
            for change in CHANGES
            for half in range(3 * 48)
            if (finish := change + half * timedelta(minutes=30))
        ],
        [Read()],
    )


def test_local_days_are_those_of_each_tenants_clock_also_when_the_clocks_change(pipeline: dlt.Pipeline) -> None:
    rows, settings = around_changes_of_the_clock(), Protection(time_zones=ZONES)
    rows.load(pipeline)
    marts.update_views(pipeline, settings)
    expected = plain(truth.daily_summary_local(rows, settings))
    for session in ("Asia/Tokyo", "America/Los_Angeles"):
        assert content(pipeline, "daily_summary_local", session) == expected
        assert content(pipeline, "daily_summary", session) == plain(truth.daily_summary(rows))
    longest = {(row[1], row[6]) for row in expected}
    assert {("America/New_York", 50), ("America/New_York", 46), ("Europe/Berlin", 50)} <= longest


def test_a_changed_time_zone_replaces_the_views_that_show_it_and_no_others(pipeline: dlt.Pipeline) -> None:
    Rows([Job("FB1", datetime(2026, 3, 18, 20, tzinfo=UTC))], [Read()]).load(pipeline)
    assert marts.update_views(pipeline, Protection()) == list(VIEWS)
    assert [row[:2] for row in content(pipeline, "daily_summary_local")] == [(datetime(2026, 3, 18).date(), "UTC")]
    moved = Protection(time_zones={"": "Asia/Kolkata"})
    assert marts.update_views(pipeline, moved) == ["daily_summary_local"]
    assert marts.update_views(pipeline, moved) == []
    assert [row[:2] for row in content(pipeline, "daily_summary_local")] == [
        (datetime(2026, 3, 19).date(), "Asia/Kolkata")
    ]
