"""Reconcile the API with the warehouse: count periods, read them, and halve those whose counts differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from avepoint_m365.constants import ObjectType
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.chunks import count_by_first_page, sum_of
from avepoint_m365.extract.complete import read_completely
from avepoint_m365.extract.cut_lists import learn_longest_list
from avepoint_m365.extract.deduplicate import oldest_finished
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, unique_now
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.reconciliation import Reconciliation
from avepoint_m365.extract.window import EDGE, Selection, Window
from avepoint_m365.text import format_count

DAILY_PERIOD = timedelta(days=30)
"""The period of the daily reconciliation, up to now."""

MONTH = timedelta(days=28)
"""The longest period that is counted at once in a whole history."""

SMALLEST_PERIOD = timedelta(hours=6)
"""A period that differs is read, not halved, if it is no longer than this or fits a page."""

MAX_UNPROVED = 3
"""After this many parts whose total exceeds their jobs, the API's totals prove nothing and reading stops."""

PAGES_READ = {"verify": math.inf, "daily": 20, "first_load": 0}
"""The most pages of a period that are read although its counts agree, by kind of reconciliation.

Equal counts do not prove equal jobs: a removed job hides one that came late, and no count shows a changed state.
"""

CountJobs = Callable[[datetime, datetime], int | None]
"""Returns how many jobs the warehouse holds in a range, as the API would count them."""


class Stored(NamedTuple):
    """Hold the access of a reconciliation to the warehouse.

    Attributes:
        count_jobs: Returns how many jobs it holds in a range.
        lacks_any: Returns whether it lacks a job of some listings, or holds another state of one.
    """

    count_jobs: CountJobs
    lacks_any: Callable[[Sequence[Listing]], bool] = lambda listings: True


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
        stored: Stored,
        kind: str,
        location: str | None = None,
        object_types: Sequence[ObjectType] = (),
    ) -> None:
        """Keep ``kind`` for the rows, and the ``location`` and ``object_types`` to compare; all if None, or empty."""
        self._reader, self._limits, self._stored, self._kind = reader, limits, stored, kind
        self._location, self._object_types = location, tuple(object_types) or (None,)
        self._pages_read = PAGES_READ[kind]
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
        stored = self._stored.count_jobs(start, end)
        if stored is None:
            return result.add(self._row(start, end, detail="the destination cannot count jobs"))
        try:
            page_size = self._reader.paging.page_size
            probes = [self._reader.probe(selection, page_size) for selection in self._selections(start, end)]
        except SourceError as error:
            if error.ends_load:
                raise
            return result.add(self._row(start, end, detail=str(error)))
        result.requests += sum(probe.requests for probe in probes)
        api_total = sum_of([count_by_first_page(probe) for probe in probes])
        # A short page may still be the largest that the server returns: reading on is cheap, and tells.
        is_short = all(len(probe.ids) < page_size for probe in probes)
        if api_total is None and (is_part or is_short or math.isinf(self._pages_read)):
            return self._read_part(start, end, stored, result)
        if api_total is None:
            detail = "the API's total does not count matches"
            return result.add(self._row(start, end, stored=stored, detail=detail))
        if api_total <= stored:
            proof = self._read_agreeing(start, end, probes, api_total, result)
            return result.add(self._row(start, end, _surplus_detail(stored - api_total), api_total, stored, proof))
        if self._unproved >= MAX_UNPROVED:
            detail = "the API counts more jobs than it returns"
            return result.add(self._row(start, end, detail, api_total, stored, proof=False))
        proof = self._read_differing_parts(start, end, probes, api_total, result)
        detail = f"{format_count(api_total - stored, 'job')} read again"
        if not proof:
            detail += "; the API does not return all of them"
        return result.add(self._row(start, end, detail, api_total, stored, proof))

    def _read_agreeing(
        self, start: datetime, end: datetime, probes: Sequence[Listing], api_total: int, result: Reconciled
    ) -> bool:
        """Read a period whose counts agree; return False if some of its jobs could not be read.

        The jobs of listings that the warehouse holds as they are get dropped: a whole history would fill the memory.
        """
        if api_total > self._pages_read * self._reader.paging.page_size:
            return True
        listings = list(probes) if all(probe.holds_all for probe in probes) else self._read(start, end)
        if self._finds_cut_list(start, end, listings):
            listings = self._read(start, end)
        if not self._stored.lacks_any(listings):
            for listing in listings:
                listing.drop_jobs()
        result.listings += listings
        return all(listing.complete for listing in listings)

    def _finds_cut_list(self, start: datetime, end: datetime, listings: Sequence[Listing]) -> bool:
        """Return whether the server cut a list of a period without a word.

        A daily comparison sends a request for this only if all jobs that are older than those returned are gone.
        """
        if self._limits.longest is not None and end - start > self._limits.longest:
            return False

        oldest = [job.start_time for listing in listings if (job := oldest_finished(listing.parsed.jobs))]
        is_suspicious = oldest and self._stored.count_jobs(start, min(oldest) - EDGE)
        if not is_suspicious and not math.isinf(self._pages_read):
            return False
        return any(learn_longest_list(self._reader, listing, start) for listing in listings)

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
        if self._finds_cut_list(start, end, listings):
            listings = self._read(start, end)
        result.listings += listings
        ids = set().union(*(listing.ids for listing in listings))
        complete = all(listing.complete for listing in listings)
        return result.add(self._row(start, end, f"{format_count(len(ids), 'job')} read", len(ids), stored, complete))

    def _read(self, start: datetime, end: datetime) -> list[Listing]:
        selections = self._selections(start, end)
        return [part for selection in selections for part in read_completely(self._reader, selection, self._limits)]

    def _selections(self, start: datetime, end: datetime) -> list[Selection]:
        window = Window.exact(start, end)
        return [Selection(window, self._location, object_type) for object_type in self._object_types]

    def _row(
        self,
        start: datetime,
        end: datetime,
        detail: str | None,
        api_total: int | None = None,
        stored: int | None = None,
        proof: bool | None = None,
    ) -> Reconciliation:
        """Return the row of a period; see ``Reconciliation``. What is not given is unknown."""
        period, checked_at = (start, end), unique_now()
        return Reconciliation(self._kind, period, api_total, stored, proof, detail, checked_at, self._location)


def _surplus_detail(surplus: int) -> str | None:
    return f"{format_count(surplus, 'job is', 'jobs are')} kept that the API no longer returns" if surplus else None


def months(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield periods of at most ``MONTH`` that together cover a range, newest first; neighbours share one second."""
    while end - start > MONTH:
        yield end - MONTH, end
        end = end - MONTH + EDGE
    yield start, end
