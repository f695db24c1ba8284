"""Test the state between loads: written as JSON, read back unchanged, and its effect."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from avepoint_m365.state import (
    DETECTION_TTL,
    ApiBehavior,
    BackfillState,
    RangeFilter,
    ScanState,
    SourceState,
    dump_state,
    is_due,
    load_state,
)

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
BEHAVIOR = ApiBehavior(
    endpoint="jobs",
    range_filter="finish",
    range_filter_at=NOW,
    ignored=("job_type", "object_type=teams"),
    filters_at=NOW - timedelta(hours=1),
    longest_range_days=30.5,
    pascal_case=True,
    largest_page=500,
    by_location=True,
    reconciled_at=NOW - timedelta(hours=2),
    words_at=NOW - timedelta(hours=3),
    empty_at=NOW - timedelta(hours=4),
)
SCAN = ScanState(
    cursor=NOW,
    complete_until=NOW - timedelta(days=1),
    history_start=NOW - timedelta(days=2),
    oldest_open=NOW - timedelta(days=3),
    gap_start=NOW - timedelta(days=4),
    gap_run="2026-01-10T12:00:00+00:00",
    chunk_end=NOW - timedelta(days=5),
    began_at=NOW - timedelta(days=6),
    retry_labels=True,
    missing_open=("FB1", "FB2"),
)
BACKFILL = BackfillState("a to b", NOW, NOW - timedelta(days=1), NOW - timedelta(days=2), "run")


@pytest.mark.parametrize("state", [BEHAVIOR, SCAN, BACKFILL, ApiBehavior(), ScanState(), BackfillState()])
def test_a_state_is_read_back_from_json_as_it_was(state: Any) -> None:
    """Test that a text that looks like a time stays a text: the caller chooses the id of a run."""
    assert load_state(type(state), json.loads(json.dumps(dump_state(state)))) == state


def test_only_what_differs_from_the_default_is_written() -> None:
    assert dump_state(ScanState()) == dump_state(BackfillState()) == dump_state(ApiBehavior()) == {}
    assert dump_state(ScanState(cursor=NOW, missing_open=("FB1",))) == {
        "cursor": "2026-01-10T12:00:00+00:00",
        "missing_open": ["FB1"],
    }


def test_fields_of_another_version_are_ignored() -> None:
    assert load_state(ScanState, {"cursor": NOW.isoformat(), "of_later": 1}) == ScanState(cursor=NOW)
    assert load_state(ScanState, None) == load_state(ScanState, {}) == ScanState()


def test_all_parts_are_stored_and_each_scope_has_its_own_scan_state() -> None:
    stored: dict[str, Any] = {}
    SourceState(BEHAVIOR, SCAN, BACKFILL).save(stored, "teams")
    SourceState(BEHAVIOR, SCAN._replace(gap_run="other"), BACKFILL).save(stored, "exchange")
    stored = json.loads(json.dumps(stored))
    assert stored.keys() == {"behavior", "looks", "backfill"}
    assert SourceState.load(stored, "teams") == SourceState(BEHAVIOR, SCAN, BACKFILL)
    assert SourceState.load(stored, "exchange").scan.gap_run == "other"
    assert SourceState.load(stored, "of another") == SourceState(BEHAVIOR, ScanState(), BACKFILL)
    assert SourceState.load({}, "teams") == SourceState()


@pytest.mark.parametrize(
    ("range_filter", "may_hide_long_jobs", "contained_only"),
    [
        (None, True, True),
        (RangeFilter.start, True, False),
        (RangeFilter.contained, True, True),
        (RangeFilter.finish, False, False),
    ],
)
def test_what_a_range_may_hide(range_filter: str | None, may_hide_long_jobs: bool, contained_only: bool) -> None:
    behavior = ApiBehavior(range_filter=range_filter and str(range_filter))
    assert (behavior.may_hide_long_jobs, behavior.holds_contained_jobs_only) == (may_hide_long_jobs, contained_only)


@pytest.mark.parametrize(("days", "longest"), [(None, None), (0, None), (0.5, timedelta(hours=12))])
def test_the_longest_range_is_in_days(days: float | None, longest: timedelta | None) -> None:
    assert ApiBehavior(longest_range_days=days).longest_range == longest


@pytest.mark.parametrize(
    ("known", "asked", "expected"),
    [
        ("jobs", "jobs", BEHAVIOR),
        ("jobs", "", BEHAVIOR),
        ("", "cloudbackupjobs", BEHAVIOR._replace(endpoint="cloudbackupjobs")),
        ("", "", BEHAVIOR._replace(endpoint="")),
        ("jobs", "cloudbackupjobs", ApiBehavior(endpoint="cloudbackupjobs")),
    ],
)
def test_detected_behaviour_applies_only_to_its_endpoint_generation(
    known: str, asked: str, expected: ApiBehavior
) -> None:
    assert BEHAVIOR._replace(endpoint=known).for_endpoint(asked) == expected


@pytest.mark.parametrize(
    ("ago", "due"),
    [
        (None, True),
        (DETECTION_TTL, True),
        (DETECTION_TTL - timedelta(seconds=1), False),
        (timedelta(0), False),
        (-DETECTION_TTL, True),
    ],
)
def test_something_is_due_after_a_day_or_if_a_clock_was_ahead(ago: timedelta | None, due: bool) -> None:
    assert is_due(None if ago is None else NOW - ago, NOW) is due


def test_a_given_time_to_live_overrides_the_default() -> None:
    assert is_due(NOW - timedelta(hours=1), NOW, timedelta(hours=1))
    assert not is_due(NOW - timedelta(hours=1), NOW, timedelta(hours=2))
    assert timedelta(days=1) == DETECTION_TTL
