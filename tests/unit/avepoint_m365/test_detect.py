"""Test the meaning of a range, which a load detects because the API does not document it."""

from datetime import datetime
from typing import Any

import pytest
from avepoint_m365.api.page import JobsPage, parse_pages
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import RefusedParametersError
from avepoint_m365.extract.detect import detect_range_filter, longest_overnight_job
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.state import RangeFilter

from tests.support.pages import jobs_page

BY_DAY = ("2026-01-05T08:00:00Z", "2026-01-05T11:00:00Z")
PAST_MIDNIGHT = ("2026-01-05T23:00:00Z", "2026-01-06T00:20:00Z")
END = datetime.fromisoformat("2026-01-09T00:00:00Z")


def reader_of(times: tuple[str, str], compared: tuple[int, int], letters: int, refuses_times: bool) -> ListingReader:
    """Return a reader of an API with one job, which compares a range with its start (0) or finish (1).

    The API compares only the first ``letters`` letters of each time.
    """
    job = {"id": "a", "state": "Finished", "startTime": times[0], "finishTime": times[1]}

    def ask(params: Params) -> JobsPage:
        if refuses_times and "T" in params["startTime"]:
            raise RefusedParametersError("no times")
        known = (params["startTime"], *(times[index] for index in compared), params["finishTime"])
        first, compared_first, compared_last, last = (time[:letters] for time in known)
        shown = first <= compared_first and compared_last <= last
        return jobs_page([job] if shown else [], int(shown), "")

    return ListingReader(RequestPool(ask, 1), PagingBehavior(500))


@pytest.mark.parametrize(
    ("compared", "letters", "refuses_times", "expected"),
    [
        ((0, 0), 20, False, RangeFilter.start),
        ((1, 1), 20, False, RangeFilter.finish),
        ((1, 0), 20, False, RangeFilter.finish),
        ((0, 1), 20, False, RangeFilter.contained),
        ((0, 0), 10, False, RangeFilter.start),
        ((0, 1), 10, False, RangeFilter.contained),
        ((1, 1), 10, True, RangeFilter.finish),
        # A range of whole days is a day longer, and the job ends within it.
        ((0, 0), 10, True, RangeFilter.contained),
        ((0, 1), 10, True, RangeFilter.contained),
    ],
)
def test_the_range_filter_is_detected_by_a_job_past_midnight(
    compared: tuple[int, int], letters: int, refuses_times: bool, expected: RangeFilter
) -> None:
    """Test each meaning: a load that mistakes it for a range of finishes would miss a long job that is listed late."""
    start, finish = (datetime.fromisoformat(time) for time in PAST_MIDNIGHT)
    reader = reader_of(PAST_MIDNIGHT, compared, letters, refuses_times)
    assert detect_range_filter(reader, "a", start, finish) == expected


@pytest.mark.parametrize(("times", "tells"), [(BY_DAY, False), (PAST_MIDNIGHT, True)])
def test_only_a_job_past_midnight_reveals_the_range_filter(times: tuple[str, str], tells: bool) -> None:
    row: dict[str, Any] = {"id": "a", "state": "Finished", "startTime": times[0], "finishTime": times[1]}
    job = longest_overnight_job(parse_pages([jobs_page([row])]).jobs, END)
    assert (job is not None and job[0] == "a") == tells
