"""Test the result that the calendar shows for a day without a backup, by the allowed age of the service."""

from datetime import UTC, date, datetime

import pytest
from m365_jobs.reports.calendar import DayResult, calendar_rows
from m365_jobs.reports.metrics import QueryRange
from m365_jobs.reports.view import Filter

PLACE = {"tenant": "contoso", "location": None, "object_type": "onedrive"}
NO_SERVICE = {**PLACE, "object_type": None}
LAST = datetime(2026, 3, 19, 0, 30, tzinfo=UTC)
END = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("allowed", "result"),
    [(9.0, DayResult.missed), (35.0, DayResult.missed), (36.0, DayResult.no_data), (None, DayResult.missed)],
)
def test_a_day_is_missed_by_the_schedule_and_else_by_the_configuration(
    allowed: float | None, result: DayResult
) -> None:
    rows = calendar_rows(
        [{**PLACE, "day": date(2026, 3, 19), "backups": 1, "successes": 1, "last_success_at": LAST}],
        [{**PLACE, "status": "protected", "allowed_age_hours": allowed, "data_as_of": END}],
        [{**PLACE, "complete_until": END}],
        [{**NO_SERVICE, "asked_from": datetime(2026, 1, 1, tzinfo=UTC), "scheduled_from": None}],
        QueryRange(Filter(days=2), END),
    )
    assert [[day.result for day in row.days] for row in rows] == [[DayResult.met, result]]


@pytest.mark.parametrize(
    ("status", "scheduled_from", "asked_from", "results"),
    [
        # Scheduled every 24 hours since the evening of the 17th: 36 hours later is the morning of the 19th.
        ("missed", datetime(2026, 3, 17, 20, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "ssmm"),
        ("missed", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 18, 12, tzinfo=UTC), "nssm"),
        ("onboarding", datetime(2026, 3, 20, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "nnnn"),
        # Named in the configuration: due since loads began to request the tenant.
        ("never", None, datetime(2026, 1, 1, tzinfo=UTC), "mmmm"),
        ("never", None, datetime(2026, 3, 18, 12, tzinfo=UTC), "nssm"),
        ("ignored", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), None),
    ],
)
def test_the_days_of_a_service_that_never_ran_are_missed_since_it_is_due(
    status: str, scheduled_from: datetime | None, asked_from: datetime, results: str | None
) -> None:
    """Test a service without jobs, so without a partition: the end of its data is that of all services."""
    place = PLACE if scheduled_from else NO_SERVICE
    rows = calendar_rows(
        [],
        [{**PLACE, "status": status, "allowed_age_hours": 36.0, "data_as_of": END}],
        [{**NO_SERVICE, "complete_until": END}],
        [{**place, "asked_from": asked_from, "scheduled_from": scheduled_from}],
        QueryRange(Filter(days=4), END),
    )
    words = {"n": DayResult.no_data, "s": DayResult.skipped, "m": DayResult.missed}
    expected = [] if results is None else [[words[letter] for letter in results]]
    assert [[day.result for day in row.days] for row in rows] == expected
