"""Test that jobs of several listings become one table, with each job once and in its newest state."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from avepoint_m365.extract.deduplicate import certainly_within, deduplicate_latest, filter_ids, latest
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.window import Selection, Window
from avepoint_m365.parse.frame import FRAME, SEEN_AT

from tests.support.pages import jobs_page

HOUR = timedelta(hours=1)
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


def table(*rows: tuple[str, str, bool, int]) -> pa.Table:
    """Return rows of id, state, whether the job has ended, and when its page arrived."""
    jobs = [
        {"id": job_id, "state": state, "start_time": NOON - HOUR, "finish_time": NOON if ended else None}
        for job_id, state, ended, _ in rows
    ]
    return pa.Table.from_pylist(jobs, FRAME).append_column(
        pa.field(SEEN_AT, pa.int64()), pa.array([row[3] for row in rows], pa.int64())
    )


def states(jobs: pa.Table) -> list[tuple[str, str]]:
    assert jobs.schema.names == FRAME.names
    return list(zip(jobs["id"].to_pylist(), jobs["state"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("In Progress", False, 1), ("Finished", True, 2), "Finished"),
        (("Finished", True, 1), ("In Progress", False, 2), "Finished"),
        (("Finished", True, 2), ("Failed", True, 1), "Finished"),
        (("Finished", True, 1), ("Failed", True, 2), "Failed"),
        (("queued", False, 9), ("running", False, 3), "queued"),
        (("old", True, 5), ("new", True, 5), "new"),
    ],
)
def test_an_ended_job_precedes_a_later_page_which_precedes_a_later_row(
    first: tuple[str, bool, int], second: tuple[str, bool, int], expected: str
) -> None:
    jobs = table(("a", *first), ("between", "Finished", True, 4), ("a", *second))
    assert sorted(states(latest(jobs))) == [("a", expected), ("between", "Finished")]


def test_rows_keep_their_order_and_all_columns() -> None:
    jobs = table(("c", "1", True, 1), ("a", "2", True, 2), ("b", "3", True, 3), ("a", "4", True, 4))
    assert states(latest(jobs)) == [("c", "1"), ("b", "3"), ("a", "4")]
    assert states(latest(jobs.slice(0, 3))) == [("c", "1"), ("a", "2"), ("b", "3")]
    assert latest(jobs).schema.equals(FRAME)


def test_no_jobs_are_an_empty_table_of_the_same_columns() -> None:
    assert latest(table()).equals(FRAME.empty_table())
    assert deduplicate_latest([]).equals(FRAME.empty_table())


def test_pages_of_all_listings_are_combined() -> None:
    def row(job_id: str, state: str) -> dict[str, Any]:
        return {"id": job_id, "state": state, "startTime": "2026-01-10T11:00:00Z", "finishTime": "2026-01-10T11:30:00Z"}

    listings = [Listing(Selection(Window(NOON, NOON, NOON))) for _ in range(3)]
    listings[0].pages = [jobs_page([row("a", "Failed"), row("b", "Failed")], seen_at=1), jobs_page([], seen_at=2)]
    listings[2].pages = [jobs_page([row("b", "Finished"), row("c", "Failed")], seen_at=3)]
    assert states(deduplicate_latest(listings)) == [("a", "Failed"), ("b", "Finished"), ("c", "Failed")]


def test_rows_are_chosen_by_their_ids() -> None:
    jobs = table(("a", "1", True, 1), ("b", "2", True, 2), ("c", "3", True, 3))
    assert filter_ids(jobs, iter(["c", "a", "x"]))["id"].to_pylist() == ["a", "c"]
    assert filter_ids(jobs, []).num_rows == 0


@pytest.mark.parametrize(
    ("start", "finish", "within"),
    [
        (NOON, NOON + HOUR, True),
        (NOON + HOUR, NOON + HOUR, True),
        (NOON, None, True),
        (NOON - timedelta(microseconds=1), NOON + HOUR, False),
        (NOON, NOON + HOUR + timedelta(microseconds=1), False),
        (None, NOON + HOUR, False),
        (None, None, False),
    ],
)
def test_a_job_is_certainly_within_a_range_if_both_its_times_are(
    start: datetime | None, finish: datetime | None, within: bool
) -> None:
    jobs = pa.Table.from_pylist([{"id": "a", "start_time": start, "finish_time": finish}], FRAME)
    limits = [pa.scalar(moment, pa.timestamp("us", tz="UTC")) for moment in (NOON, NOON + HOUR)]
    assert certainly_within(jobs, *limits) == ({"a"} if within else set())
