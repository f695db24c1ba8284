"""What a load finds out about the meaning of a range, from an API that says nothing of it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import RefusedParametersError
from avepoint_m365.extract.extraction import Progress, Reading
from avepoint_m365.extract.listing import Partition, PartitionReader, Window
from avepoint_m365.extract.pool import Answer
from avepoint_m365.settings import ObjectType

from tests.support.pages import jobs_page

TIMES = {
    "by day": ("2026-01-05T08:00:00Z", "2026-01-05T11:00:00Z"),
    "past midnight": ("2026-01-05T23:00:00Z", "2026-01-06T00:20:00Z"),
}


class Api:
    """Has one job, and compares the ends of a range with its start (0) or finish (1), each of which it looks at so many
    letters of."""

    concurrency = 1

    def __init__(self, times: tuple[str, str], compared: tuple[int, int], letters: int, refuses_times: bool) -> None:
        self._job = {"id": "a", "startTime": times[0], "finishTime": times[1]}
        self._times = [times[one] for one in compared]
        self._letters, self._refuses_times = letters, refuses_times

    def ask(self, params: Params) -> Answer:
        if self._refuses_times and "T" in params["startTime"]:
            raise RefusedParametersError("no times")
        known = (params["startTime"], *self._times, params["finishTime"])
        first, compared_first, compared_last, last = (one[: self._letters] for one in known)
        shown = first <= compared_first and compared_last <= last and params["jobType"] in ("0", "1")
        rows = [self._job] if shown else []
        return jobs_page(rows, len(rows), "", seen_at=1)


@pytest.mark.parametrize(
    ("job", "compared", "letters", "refuses_times", "of_starts", "of_whole_jobs"),
    [
        ("by day", (0, 0), 20, False, None, None),
        ("by day", (1, 1), 20, False, None, None),
        ("past midnight", (0, 0), 20, False, True, False),
        ("past midnight", (1, 1), 20, False, False, False),
        ("past midnight", (1, 0), 20, False, False, False),
        ("past midnight", (0, 1), 20, False, True, True),
        ("past midnight", (0, 0), 10, False, True, False),
        ("past midnight", (0, 1), 10, False, True, True),
        ("past midnight", (1, 1), 10, True, False, False),
        # Ranges of whole days have a day to spare, in which the job ends.
        ("past midnight", (0, 0), 10, True, True, True),
        ("past midnight", (0, 1), 10, True, True, True),
    ],
)
def test_what_a_range_means_is_known_only_where_the_api_can_tell(
    job: str,
    compared: tuple[int, int],
    letters: int,
    refuses_times: bool,
    of_starts: bool | None,
    of_whole_jobs: bool | None,
) -> None:
    """Taken for a range of finishes, it would not reach back to the start of a long job that shows up late."""
    api: Any = Api(TIMES[job], compared, letters, refuses_times)
    reading = Reading(api, PartitionReader(500, True), Progress(), None)
    reading.find_out = True
    end = datetime(2026, 1, 9, tzinfo=UTC)
    partition = Partition(None, ObjectType.teams, Window(datetime(2026, 1, 1, tzinfo=UTC), end, end))
    reading.ask(partition)
    result = reading.result(partition)
    assert result is not None
    assert result.jobs["id"].to_pylist() == ["a"]
    assert (reading.range_is_of_starts, reading.range_is_of_whole_jobs) == (of_starts, of_whole_jobs)


@pytest.mark.parametrize("total", [1, None])
def test_a_few_jobs_beside_an_error_are_read_at_once_and_not_month_by_month(total: int | None) -> None:
    class Erring(Api):
        def ask(self, params: Params) -> Answer:
            answer = super().ask(params)
            asked.append(params)
            return replace(answer, page=replace(answer.page, total=total, errors="EUR is down"))

    asked: list[Params] = []
    api: Any = Erring(TIMES["by day"], (1, 1), 20, False)
    reading = Reading(api, PartitionReader(500, False), Progress(), 100_000)
    end = datetime(2026, 1, 9, tzinfo=UTC)
    partition = Partition(None, ObjectType.teams, Window(datetime(2024, 1, 1, tzinfo=UTC), end, end))
    reading.ask(partition)
    result = reading.result(partition)
    assert result is not None
    assert (result.jobs["id"].to_pylist(), result.complete, reading.cut_at) == (["a"], False, None)
    assert {params["startTime"] for params in asked} == {"2024-01-01T00:00:00Z"}
