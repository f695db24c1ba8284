"""Test how numbers are written for people."""

import pytest
from m365_jobs.reports.svg import short_number
from m365_jobs.text import format_percent


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
