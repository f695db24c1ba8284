"""Test that the parts of a window hold its range, and prove nothing after its end."""

from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.extract.window import EDGE, Window

END = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize("hours", [0, 1 / 3600, 1, 5, 24, 240])
def test_halves_hold_the_range_and_vouch_until_its_end(hours: float) -> None:
    window = Window(END - timedelta(hours=hours), END, END + DAY)
    first, last = window.halves()
    assert (first.query_start, last.query_end) == (window.query_start, window.query_end)
    assert first.query_end - last.query_start == EDGE
    assert max(first.end, last.end) == window.end
    assert max(first.length, last.length) < window.length
    if hours >= 1:
        assert first.start < first.end
        assert last.start < last.end


def test_a_part_that_ends_after_its_window_vouches_until_the_end_of_the_window() -> None:
    part = Window(END - DAY, END, END + DAY).until(END + DAY / 2)
    assert (part.end, part.query_end) == (END, END + DAY / 2)
