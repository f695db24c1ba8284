"""Test the durations that options accept."""

from datetime import timedelta

import pytest
import typer
from m365_jobs.cli.options import duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, timedelta()),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("8.5 h", timedelta(hours=8, minutes=30)),
        ("3d", timedelta(days=3)),
        ("10000d", timedelta(days=10_000)),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str | None, expected: timedelta) -> None:
    assert duration("--for", text) == expected


@pytest.mark.parametrize("text", ["", "8", "h", "-1h", "8 hours", "10001d", "99999999999999d"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a duration of at most 10,000 days"):
        duration("--for", text)
