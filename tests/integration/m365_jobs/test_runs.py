"""Test rows of failed runs, which stay in a file until the warehouse accepts them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from m365_jobs.load.run_log import LoadRun, UnsentRuns

NOW = datetime(2026, 1, 15, 6, tzinfo=UTC)
FIRST = LoadRun("first", "default", NOW, NOW, "failed", "api", "It is busy.", 3, 0)
SECOND = FIRST._replace(run_id="second", detail="ü\u2028\n")


@pytest.mark.parametrize("size", [1, 100])
def test_a_failed_run_is_stored_after_a_truncated_line(tmp_path: Path, size: int) -> None:
    unsent = UnsentRuns(tmp_path, "m365_jobs", "here")
    unsent.add(FIRST)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:size])
    unsent.add(SECOND)
    assert unsent.rows() == [SECOND]


def test_rows_wait_for_the_warehouse_that_they_belong_to(tmp_path: Path) -> None:
    here, there = (UnsentRuns(tmp_path, "m365_jobs", name) for name in ("here", "there"))
    here.add(FIRST)
    there.add(SECOND)
    here.clear()
    assert (here.rows(), there.rows()) == ([], [SECOND])
    there.clear()
    assert list(tmp_path.iterdir()) == []
