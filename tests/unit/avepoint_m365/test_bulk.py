"""Test bulk reads against a server in this process."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.api.page import JobsPage
from avepoint_m365.constants import ObjectType
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import ApiError
from avepoint_m365.extract.bulk import BulkReader
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.window import Selection, Window

from tests.support.pages import Row, jobs_page

START, JOBS = datetime(2026, 1, 1, tzinfo=UTC), 40
TYPES = (ObjectType.exchange_online, ObjectType.teams)
"""The types of the jobs, which start one after the other, an hour apart."""


class Server:
    """Refuse the first request for teams, and further pages of teams in a range of more than a day."""

    has_failed = False

    def answer(self, params: Params) -> JobsPage:
        since, until = (datetime.fromisoformat(params[name]) for name in ("startTime", "finishTime"))
        kind, index, size = params.get("objectType"), int(params.get("pageIndex", "0")), int(params["pageSize"])
        if kind == str(int(ObjectType.teams)):
            if not self.has_failed:
                self.has_failed = True
                raise ApiError("busy")
            if index and until - since > timedelta(days=1):
                raise ApiError("too much")
        rows = rows_of(since, until, kind)
        return jobs_page(rows[index * size : (index + 1) * size], len(rows), None)


def rows_of(since: datetime, until: datetime, kind: str | None) -> list[Row]:
    """Return the jobs of a range and of an object type; None for all."""
    numbers = [number for number in range(JOBS) if kind in (None, str(int(TYPES[number % 2])))]
    return [
        {"id": str(number), "state": "Finished"}
        for number in numbers
        if since <= START + timedelta(hours=number) <= until
    ]


def labels_of_a_bulk_read(answer: Callable[[Params], JobsPage]) -> tuple[dict[str, str], set[str]]:
    """Read all jobs in bulk; return their object types, and the filters without effect."""
    window = Window.exact(START, START + timedelta(hours=JOBS - 1))
    with RequestPool(answer, 2) as pool:
        reader = ListingReader(pool, PagingBehavior(page_size=10))
        started = reader.begin(Selection(window))
        bulk = BulkReader(reader, RangeLimits(), split_job_types=False).read(window, started, ())
    types = bulk.classifications["object_type"]
    return types.by_id, types.ignored


@pytest.mark.parametrize(("filters", "labelled"), [(True, JOBS), (False, 0)])
def test_totals_that_ignore_the_filter_do_not_show_that_lists_ignore_it(filters: bool, labelled: int) -> None:
    def answer(params: Params) -> JobsPage:
        since, until = (datetime.fromisoformat(params[name]) for name in ("startTime", "finishTime"))
        index, size = int(params.get("pageIndex", "0")), int(params["pageSize"])
        rows = rows_of(since, until, params.get("objectType") if filters else None)
        return jobs_page(rows[index * size : (index + 1) * size], JOBS, "")

    by_id, ignored = labels_of_a_bulk_read(answer)
    assert by_id == {str(number): TYPES[number % 2].name for number in range(labelled)}
    assert len(ignored) == (0 if filters else len(ObjectType))


def test_all_listings_of_a_service_are_kept_if_its_first_page_failed_at_first_and_its_window_was_halved() -> None:
    window = Window.exact(START, START + timedelta(hours=JOBS - 1))
    with RequestPool(Server().answer, 2) as pool:
        reader = ListingReader(pool, PagingBehavior(page_size=10))
        bulk = BulkReader(reader, RangeLimits(), split_job_types=False).read(
            window, reader.begin(Selection(window)), ()
        )
    labels = {str(number): TYPES[number % 2].name for number in range(JOBS)}
    assert bulk.classifications["object_type"].by_id == labels
    assert len(bulk.all_jobs) == 1
