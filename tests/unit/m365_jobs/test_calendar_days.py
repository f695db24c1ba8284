"""What the calendar calls a day without a backup, by the allowed age of the service."""

from datetime import UTC, date, datetime

import pytest
from m365_jobs.reports.calendar import DayResult, calendar_rows
from m365_jobs.reports.view import Filter

PLACE = {"tenant": "contoso", "location": None, "object_type": "onedrive"}
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
        [{**PLACE, "status": "protected", "allowed_age_hours": allowed}],
        [{**PLACE, "asked_from": datetime(2026, 1, 1, tzinfo=UTC), "complete_until": END}],
        Filter(days=2),
        END,
    )
    assert [[day.result for day in row.days] for row in rows] == [[DayResult.met, result]]
