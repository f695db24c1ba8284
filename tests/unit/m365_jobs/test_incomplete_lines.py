"""Test the lines about what a load could not prove complete."""

from datetime import UTC, datetime

import pytest
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.window import Selection, Window
from avepoint_m365.parse.frame import FRAME
from avepoint_m365.state import SourceState
from m365_jobs.cli.progress import report_load
from m365_jobs.health.failed_companions import failure_lines
from m365_jobs.load.summary import Summary

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def test_a_line_about_an_incomplete_load_ends_with_one_full_stop(capsys: pytest.CaptureFixture[str]) -> None:
    listing = Listing(Selection(Window(NOW, NOW, NOW)), detail="GET /jobs answered 503. Try again later.")
    summary = Summary("run", "contoso", "w", "m365_jobs")
    result = ChunkResult(Window(NOW, NOW, NOW), FRAME.empty_table(), SourceState(), listings=[listing])
    summary.note_incomplete(result)
    summary.note_incomplete(result)
    summary.add_incomplete(["companion retention skipped: It is not ready."])
    report_load(summary)
    printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Not proved complete: ")]
    assert printed == [
        "Not proved complete: all jobs: 0 jobs found, ? reported; GET /jobs answered 503. Try again later.",
        "Not proved complete: companion retention skipped: It is not ready.",
    ]
    assert ".;" not in str(summary.detail)


def test_a_line_about_a_failed_companion_ends_with_one_full_stop() -> None:
    row = {"tenant": "default", "companion": "retention", "status": "failed", "detail": "It is not ready."}
    assert list(failure_lines([row])) == ["Skipped: retention: It is not ready."]
