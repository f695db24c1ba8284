"""What a load finds out about the meaning of a range, from an API that says nothing of it."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from avepoint_m365.client import RefusedParametersError
from avepoint_m365.dispatch import Answer
from avepoint_m365.paging import Page, Params
from avepoint_m365.partition import Partition, PartitionReader, Window
from avepoint_m365.reading import Progress, Reading
from avepoint_m365.records import SEEN_AT, read_jobs
from avepoint_m365.settings import Endpoint, ObjectType

TIMES = {
    "by day": ("2026-01-05T08:00:00Z", "2026-01-05T11:00:00Z"),
    "past midnight": ("2026-01-05T23:00:00Z", "2026-01-06T00:20:00Z"),
}


class Api:
    """Has one job, and compares a range with its start (0) or finish (1), of which it looks at so many letters."""

    concurrency = 1

    def __init__(self, times: tuple[str, str], compared: int, letters: int, refuses_times: bool) -> None:
        self._job = {"id": "a", "startTime": times[0], "finishTime": times[1]}
        self._time, self._letters, self._refuses_times = times[compared], letters, refuses_times

    def ask(self, params: Params) -> Answer:
        if self._refuses_times and "T" in params["startTime"]:
            raise RefusedParametersError("no times")
        first, time, last = (one[: self._letters] for one in (params["startTime"], self._time, params["finishTime"]))
        rows = [self._job] if first <= time <= last and params["jobType"] in ("0", "1") else []
        jobs = read_jobs(rows).append_column(SEEN_AT, pa.array([1] * len(rows), pa.int64()))
        return Answer(Page(jobs["id"].to_pylist(), len(rows), ""), jobs, Endpoint.jobs, 1)


@pytest.mark.parametrize(
    ("job", "compared", "letters", "refuses_times", "of_starts"),
    [
        ("by day", 0, 20, False, None),
        ("by day", 1, 20, False, None),
        ("past midnight", 0, 20, False, True),
        ("past midnight", 1, 20, False, False),
        ("past midnight", 0, 10, False, True),
        ("past midnight", 0, 10, True, True),
        ("past midnight", 1, 10, True, False),
    ],
)
def test_whether_a_range_is_of_starts_is_known_only_where_the_api_can_tell(
    job: str, compared: int, letters: int, refuses_times: bool, of_starts: bool | None
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
    assert reading.range_is_of_starts is of_starts
