"""Test how numbers are written for people."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from m365_jobs.cli.tables.status import status_tables
from m365_jobs.reports import labels
from m365_jobs.reports.svg import short_number
from m365_jobs.text import format_percent
from rich.console import Console

from tests.support import status_document


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (950, "950"),
        (1_200, "1.2k"),
        (2.5e6, "2.5M"),
        (5e9, "5G"),
        (4e12, "4T"),
        (1e15, "1P"),
        (7.5e18, "7.5E"),
    ],
)
def test_labels_of_an_axis_are_short_for_any_number(number: float, text: str) -> None:
    assert short_number(number) == text


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        *[(0, 0, "0%"), (1, 0, "100%"), (0.5, 0, "50%"), (1.25, 0, "125%"), (1, 1, "100.0%")],
        *[(0.9999, 0, "99%"), (0.0001, 0, "1%"), (0.9999, 1, "99.9%"), (0.00001, 1, "0.1%"), (0.9949, 1, "99.5%")],
    ],
)
def test_only_nothing_and_all_are_0_and_100_per_cent(share: float, decimals: int, text: str) -> None:
    assert format_percent(share, decimals) == text


@pytest.mark.parametrize(
    ("ago", "age", "open_for"),
    [
        (timedelta(hours=45), "45 h ago", "45 h"),
        (timedelta(0), "0 s ago", "0 s"),
        # Clocks of two machines differ by seconds.
        (timedelta(seconds=-20), "0 s ago", "0 s"),
        (timedelta(hours=-3), "in 3.0 h", "starts in 3.0 h"),
        (timedelta(days=-4), "in 4 days", "starts in 4 days"),
    ],
)
def test_a_time_in_the_future_is_said_to_lie_ahead(ago: timedelta, age: str, open_for: str) -> None:
    now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    assert labels.elapsed_label(now - ago, now) == age
    assert labels.time_and_age_label(now - ago, UTC, now).endswith(f"({age})")
    assert labels.open_label(ago / timedelta(hours=1)) == open_for


@pytest.mark.parametrize(
    ("days", "shown"), [(0.25, "1 (6.0 h)"), (2, "1 (48 h)"), (9, "1 (9 days)"), (-0.1, "1 (ahead)"), (-9, "1 (ahead)")]
)
def test_status_says_for_how_long_a_job_is_open_or_that_its_start_lies_ahead(days: float, shown: str) -> None:
    partition = {
        "tenant": "contoso",
        "location": None,
        "object_type": "teams",
        "rows_held": 1,
        "open_jobs": 1,
        "oldest_open_start": datetime.now(UTC) - timedelta(days=days),
        "newest_finish": None,
        "complete_until": None,
        "complete": True,
    }
    printed = StringIO()
    console = Console(file=printed, width=120)
    for part in status_tables({**status_document.EMPTY, "tables": {"jobs": 1}, "partitions": [partition]}):
        console.print(part)
    assert shown in printed.getvalue()
