"""Reconcile the API's totals with the warehouse: count periods, halve those that differ, and read them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from avepoint_m365.constants import ObjectType
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.chunks import count_by_first_page
from avepoint_m365.extract.complete import read_completely
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, unique_now
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.options import Reconciliation
from avepoint_m365.extract.window import EDGE, Selection, Window
from avepoint_m365.plural import format_count

DAILY_PERIOD = timedelta(days=30)
"""The period of the daily reconciliation, up to now."""

MONTH = timedelta(days=28)
"""The longest period that is counted at once in a whole history."""

SMALLEST_PERIOD = timedelta(hours=6)
"""A period that differs is read, not halved, if it is no longer than this or fits a page."""

MAX_UNPROVED = 3
"""After this many parts whose total exceeds their jobs, the API's totals prove nothing and reading stops."""

CountJobs = Callable[[datetime, datetime], int | None]
"""Returns how many jobs the warehouse holds in a range, as the API would count them."""


@dataclass
class Reconciled:
    """Hold the result of a reconciliation.

    Attributes:
        rows: Rows of the table ``reconciliations``.
        listings: Listings of the periods that differ; some of their jobs may be new.
        requests: Requests that counted periods.
    """

    rows: list[Reconciliation] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    requests: int = 0

    def add(self, row: Reconciliation) -> bool | None:
        """Add a row; return its proof."""
        self.rows.append(row)
        return row.proof


class Reconciler:
    """Compare periods with the warehouse, and read again those that differ."""

    def __init__(
        self,
        reader: ListingReader,
        limits: RangeLimits,
        count_jobs: CountJobs,
        kind: str,
        location: str | None = None,
        object_types: Sequence[ObjectType] = (),
    ) -> None:
        """Keep ``kind`` for the rows, and the ``location`` and ``object_types`` to compare; all if None, or empty."""
        self._reader, self._limits, self._count_jobs, self._kind = reader, limits, count_jobs, kind
        self._location, self._object_types = location, tuple(object_types) or (None,)
        self._unproved = 0

    def compare(self, start: datetime, end: datetime) -> Reconciled:
        """Return the comparison of one period (UTC)."""
        result = Reconciled()
        self._compare(start, end, result)
        return result

    def compare_by_month(self, start: datetime, end: datetime) -> Reconciled:
        """Return the comparison of a whole history (UTC), in periods of at most ``MONTH``."""
        result = Reconciled()
        for first, last in months(start, end):
            self._compare(first, last, result)
        return result

    def _compare(self, start: datetime, end: datetime, result: Reconciled, is_part: bool = False) -> bool | None:
        """Add the rows of a period and of its parts; return whether the warehouse will hold all of its jobs.

        Raises:
            SourceError: if no further request can succeed.
        """
        stored = self._count_jobs(start, end)
        if stored is None:
            return result.add(self._row(start, end, None, None, None, "the destination cannot count jobs"))
        try:
            page_size = self._reader.paging.page_size
            probes = [self._reader.probe(selection, page_size) for selection in self._selections(start, end)]
        except SourceError as error:
            if error.ends_load:
                raise
            return result.add(self._row(start, end, None, None, None, str(error)))
        result.requests += sum(probe.requests for probe in probes)
        api_total = _total(probes)
        if api_total is None and is_part:
            return self._read_part(start, end, stored, result)
        if api_total is None:
            detail = "the API's total does not count matches"
            return result.add(self._row(start, end, None, stored, None, detail))
        if api_total <= stored:
            return result.add(self._row(start, end, api_total, stored, True, _surplus_detail(stored - api_total)))
        if self._unproved >= MAX_UNPROVED:
            detail = "the API counts more jobs than it returns"
            return result.add(self._row(start, end, api_total, stored, False, detail))
        proof = self._read_differing_parts(start, end, probes, api_total, result)
        detail = f"{format_count(api_total - stored, 'job')} read again"
        if not proof:
            detail += "; the API does not return all of them"
        return result.add(self._row(start, end, api_total, stored, proof, detail))

    def _read_differing_parts(
        self, start: datetime, end: datetime, probes: Sequence[Listing], api_total: int, result: Reconciled
    ) -> bool:
        """Read the parts of a period that differ; return whether the API returns all jobs that it counts."""
        if all(probe.holds_all for probe in probes):
            listings = list(probes)
        elif end - start > SMALLEST_PERIOD:
            middle = (start + (end - start) / 2).replace(microsecond=0)
            earlier = self._compare(start, middle, result, is_part=True)
            return bool(self._compare(middle - EDGE, end, result, is_part=True) and earlier)
        else:
            listings = self._read(start, end)
        result.listings += listings
        returns_all = len(set().union(*(listing.ids for listing in listings))) >= api_total
        if not returns_all:
            self._unproved += 1
        return returns_all

    def _read_part(self, start: datetime, end: datetime, stored: int, result: Reconciled) -> bool | None:
        """Read a part of a period that differs and whose total is unknown: a full page may count itself alone."""
        listings = self._read(start, end)
        result.listings += listings
        ids = set().union(*(listing.ids for listing in listings))
        complete = all(listing.complete for listing in listings)
        return result.add(self._row(start, end, len(ids), stored, complete, f"{format_count(len(ids), 'job')} read"))

    def _read(self, start: datetime, end: datetime) -> list[Listing]:
        selections = self._selections(start, end)
        return [part for selection in selections for part in read_completely(self._reader, selection, self._limits)]

    def _selections(self, start: datetime, end: datetime) -> list[Selection]:
        window = Window(start, end, end)
        return [Selection(window, self._location, object_type) for object_type in self._object_types]

    def _row(
        self,
        start: datetime,
        end: datetime,
        api_total: int | None,
        stored: int | None,
        proof: bool | None,
        detail: str | None,
    ) -> Reconciliation:
        period, checked_at = (start, end), unique_now()
        return Reconciliation(self._kind, period, api_total, stored, proof, detail, checked_at, self._location)


def _total(probes: Sequence[Listing]) -> int | None:
    """Return how many jobs the API counts; None if the total of one probe does not tell."""
    counts = [count_by_first_page(probe) for probe in probes]
    return None if None in counts else sum(count for count in counts if count is not None)


def _surplus_detail(surplus: int) -> str | None:
    return f"{format_count(surplus, 'job is', 'jobs are')} kept that the API no longer returns" if surplus else None


def months(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield periods of at most ``MONTH`` that together cover a range, newest first; neighbours share one second."""
    while end - start > MONTH:
        yield end - MONTH, end
        end = end - MONTH + EDGE
    yield start, end
