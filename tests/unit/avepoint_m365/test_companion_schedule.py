"""Test start times of a schedule that lists fewer times than it has backups a day."""

import pytest
from avepoint_m365.companions.schedule import _spread


@pytest.mark.parametrize(
    ("listed", "frequency", "minutes"),
    [
        ([60], 1, [60]),
        ([60], 4, [60, 420, 780, 1140]),
        ([], 2, [0, 720]),
        ([0, 360], 4, [0, 360, 720, 1080]),
        ([0, 360], 2, [0, 360]),
        ([0, 60, 120], 2, [0, 60, 120]),
        ([1200], 2, [480, 1200]),
        ([], 0, []),
    ],
)
def test_backups_are_spread_evenly_from_the_first_start_time(
    listed: list[int], frequency: float, minutes: list[int]
) -> None:
    assert _spread(listed, frequency) == minutes
