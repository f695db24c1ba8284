"""Test the lookup of jobs through SQL with results that destinations return differently."""

from datetime import UTC, datetime
from typing import Any

import pytest
from avepoint_m365.lookup import PipelineLookup, SqlLookup

OPENED, ENDED = datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2, 4, tzinfo=UTC)
NEWEST = datetime(2026, 1, 3, tzinfo=UTC)


def job_row(finish: Any, fetched: Any) -> tuple[Any, ...]:
    """Return a row of the query for known jobs."""
    return ("FB1", "state", OPENED, finish, 1.0, None, "teams", "backup", OPENED, fetched, "FB1", 1, 0, 1, 0)


class Rows:
    """Answer queries by a word in them, as a dataset of dlt does."""

    def __init__(self, answers: dict[str, list[tuple[Any, ...]]]) -> None:
        self.answers = answers

    def __call__(self, sql: str) -> "Rows":
        return Rows({"": next(rows for word, rows in self.answers.items() if word in sql)})

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.answers[""]


@pytest.mark.parametrize("text", ["2026-01-02 04:00:00.000000", "2026-01-02T04:00:00+00:00"])
def test_times_may_be_texts_as_in_sqlite(text: str) -> None:
    rows = Rows({"jobs__job_errors WHERE": [], "LEFT JOIN": [job_row(text, text)], "ORDER BY finish": [("FB1", text)]})
    lookup = SqlLookup(lambda sql: rows(sql.replace("{", "").replace("}", "")).fetchall(), "t")
    assert lookup.jobs(["FB1"])[0].finish_time == ENDED
    assert lookup.recent(ENDED, 5) == ["FB1"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_newest_row_of_a_job_counts(newest_first: bool) -> None:
    stored = sorted(
        [job_row(None, OPENED), job_row(ENDED, NEWEST)], key=lambda row: row[9] == NEWEST, reverse=newest_first
    )
    rows: Any = Rows(
        {"jobs__job_errors WHERE": [], "LEFT JOIN": stored, "finish_time IS NULL": [("FB1", OPENED, None, "teams")]}
    )
    lookup = PipelineLookup(rows, "t")
    assert [job.finish_time for job in lookup.jobs(["FB1"])] == [ENDED]
    assert lookup.open_jobs() == []
