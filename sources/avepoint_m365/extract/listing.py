"""Reading one partition: every job of a location and object type in a window, and the proof that none is missing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.api.pagination import Pager
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import EndpointMissingError, RefusedParametersError
from avepoint_m365.extract.pool import Answer, Reader
from avepoint_m365.parse.values import FRAME, SEEN_AT
from avepoint_m365.settings import ALL, JobType, ObjectType

MAX_READS = 3
"""How often a listing is read, the first time included, before a partition counts as incomplete."""
MIN_PAGE_SIZE = 10

FIRST_INDEXES = (None, "0", "1")
"""The vendor says that pageIndex is optional and 0 by default; its samples begin with 1."""


@dataclass(frozen=True)
class Window:
    """A time range in UTC, ends included; ``asked_end`` may lie beyond ``end`` to allow for clocks that differ,
    ``asked_start`` before ``start`` for jobs that began before it."""

    start: datetime
    end: datetime
    asked_end: datetime
    asked_start: datetime | None = None

    @property
    def begin(self) -> datetime:
        """What is asked for begins here."""
        return min(self.start, self.asked_start or self.start)

    def parameters(self) -> Params:
        """The range as the vendor's table spells it, in whole seconds that hold all of it."""
        form = "%Y-%m-%dT%H:%M:%SZ"
        end = self.asked_end + timedelta(microseconds=999_999)
        return {"startTime": self.begin.strftime(form), "finishTime": end.strftime(form)}


@dataclass(frozen=True)
class Partition:
    """What is asked for: one location (None: unset) and object type (None: all) in a window."""

    location: str | None
    object_type: ObjectType | None
    window: Window

    def filters(self, job_type: JobType | None) -> Params:
        """The query parameters that select it."""
        params = self.window.parameters()
        params["objectType"] = str(self.object_type.value if self.object_type else ALL)
        params["jobType"] = str(job_type.value if job_type else ALL)
        if self.location is not None:
            params["location"] = self.location
        return params

    def reaching_back_to(self, start: datetime, begin: datetime) -> Partition:
        """The same with a window that starts at ``start``, and is asked for from ``begin`` on, if that is earlier."""
        window = self.window
        return replace(
            self, window=replace(window, start=min(window.start, start), asked_start=min(window.begin, begin))
        )

    def until(self, end: datetime) -> Partition:
        """The same with a window that ends at ``end``."""
        return replace(self, window=replace(self.window, end=end, asked_end=end))

    def replaces(self, other: Partition) -> bool:
        """Whether both are of one location and object type."""
        return (self.location, self.object_type) == (other.location, other.object_type)

    def __str__(self) -> str:
        """For logs: exchange_online, or exchange_online in EUR."""
        name = self.object_type.name if self.object_type else "all object types"
        return f"{name} in {self.location}" if self.location else name


_latest, _moments = datetime.min.replace(tzinfo=UTC), Lock()


def _moment() -> datetime:
    """Now, but later than any moment before it, so that listings can be told apart by when they began."""
    global _latest
    with _moments:
        _latest = max(datetime.now(UTC), _latest + timedelta(microseconds=1))
        return _latest


@dataclass
class Listing:
    """All jobs of one set of filters, with what ``load_audit`` says of them."""

    job_type: JobType | None
    started_at: datetime = field(default_factory=_moment)
    sightings: list[pa.Table] = field(default_factory=list)
    """Tables of ``records.FRAME``, with ``SEEN_AT``."""
    ids: set[str] = field(default_factory=set)
    reported_total: int | None = None
    total_scope: str = "absent"
    endpoint: str = ""
    page_size: int = 0
    requests: int = 0
    retries: int = 0
    complete: bool = False
    whole: bool = False
    """Of a look: whether it saw all that the API shows, be that complete or not."""
    errors: str = ""
    """What the API said of errors beside the jobs, the last time that the listing was read."""
    elapsed_seconds: float = 0.0

    def add(self, answers: Iterable[Answer]) -> None:
        """Keeps the jobs of pages, and what they say of the whole."""
        for answer in answers:
            self.sightings.append(answer.jobs)
            self.ids.update(answer.page.rows)
            self.requests += 1
            self.retries += answer.attempts - 1
            self.endpoint = answer.endpoint.name
            if answer.page.total is not None:
                self.reported_total = answer.page.total
            self.errors = answer.page.errors or self.errors

    def take_sightings(self) -> list[pa.Table]:
        """The sightings, which are then no longer held here."""
        taken, self.sightings = self.sightings, []
        return taken


@dataclass
class PartitionResult:
    """What a partition holds: its jobs (``records.FRAME``, each once), their types where known, and the listings."""

    partition: Partition
    jobs: pa.Table
    job_types: dict[str, JobType]
    listings: list[Listing]
    object_type_is_told: bool = True
    """Whether the API looked at the object type; if not, its jobs may be of any."""

    @property
    def complete(self) -> bool:
        """Whether every listing was proved complete."""
        return all(one.complete for one in self.listings)


def newest(sightings: Iterable[pa.Table]) -> pa.Table:
    """Each job once, as it was seen last. Each of the tables was seen as a whole, at one moment."""
    in_order = sorted((one for one in sightings if one.num_rows), key=lambda one: one[SEEN_AT][0].as_py())
    empty = FRAME.append(pa.field(SEEN_AT, pa.int64())).empty_table()
    whole = pa.concat_tables([empty, *in_order])
    rows = {job_id: row for row, job_id in enumerate(whole["id"].to_pylist())}
    return whole if len(rows) == whole.num_rows else whole.take(pa.array(rows.values(), pa.int64()))


def _in_whole_days(filters: Params) -> Params:
    """The same range in dates alone, the form of the vendor's example, from the day of its start to that after its
    end: for an API that takes no times."""
    end = datetime.fromisoformat(filters["finishTime"]) + timedelta(days=1)
    return {**filters, "startTime": filters["startTime"][:10], "finishTime": f"{end:%Y-%m-%d}"}


def _is_in_whole_days(filters: Params) -> bool:
    return "T" not in filters["startTime"]


class PartitionReader:
    """Makes the readers of partitions, which share a page size: it is halved where the API refuses it."""

    def __init__(self, page_size: int, split_job_types: bool) -> None:
        self._page_size, self._split = page_size, split_job_types
        self._first_index: str | None = None
        self._first_index_is_known = self._size_is_known = self._whole_days = False
        self._typeless = False
        """Whether jobs were met whose type is none of those that are asked for."""

    @property
    def dates_alone(self) -> bool:
        """Whether the API refused times, and is asked for whole days."""
        return self._whole_days

    def read(self, partition: Partition) -> Reader[PartitionResult]:
        """Reads all jobs and of which type each is.

        Jobs on one page are read from the listing of all types, and the types are asked for until each job has one.
        Where there are more, each type is listed instead, so that no job is read twice, and the total of all types is
        what these must add up to. That takes a total that counts matches; without one both are read.
        """
        everything, pager = Listing(None), self._pager(partition, None)
        with _Clock(everything):
            yield from self._first_page(pager, everything)
            by_type = self._split and pager.more_is_promised
            if not by_type:
                yield from self._to_the_end(pager, everything)
        listings, types = [everything], dict[str, JobType]()
        for job_type in JobType if self._split else ():
            expected = everything.reported_total if by_type else len(everything.ids) if everything.complete else None
            if len(types) == expected and (not by_type or _count_matches(listings[1:])):
                break
            yield from self._read_type(partition, job_type, listings, types)
        gone: set[str] = set()
        if by_type or (self._split and everything.ids ^ types.keys()):
            seen = yield from self._reconcile(partition, everything, listings[1:], types)
            yield from self._read_types_again(partition, seen - types.keys(), listings, types)
            if everything.complete:
                # Read without a type and gone since: such a row would take the type from one that the warehouse has.
                gone = everything.ids - types.keys() - seen
        jobs = newest(table for listing in listings for table in listing.take_sightings())
        if gone:
            jobs = jobs.filter(pc.invert(pc.is_in(jobs["id"], pa.array(gone, pa.string()))))
        return PartitionResult(partition, jobs, types, listings)

    def _read_type(
        self, partition: Partition, job_type: JobType, listings: list[Listing], types: dict[str, JobType]
    ) -> Reader[None]:
        """Adds the listing of a type, and the type of those of its jobs that have none yet."""
        listing = yield from self.listing(partition, job_type)
        listings.append(listing)
        types |= dict.fromkeys(listing.ids - types.keys(), job_type)

    def _reconcile(
        self, partition: Partition, everything: Listing, by_type: Sequence[Listing], types: dict[str, JobType]
    ) -> Reader[set[str]]:
        """Proves what the types added up to by the total of all, read again; reads all where it does not. The ids that
        are known to be there."""
        # A list that twice lacks what its own types show is not whole, whatever it says of its end.
        lacking = types.keys() - everything.ids if everything.complete else set[str]()
        with _Clock(everything):
            everything.ids |= types.keys()
            pager = self._pager(partition, None)
            yield from self._first_page(pager, everything)
            add_up = len(everything.ids) == len(types) == everything.reported_total
            everything.complete = add_up and _count_matches(by_type) and not everything.errors
            if everything.complete:
                everything.total_scope = "matches"
                return everything.ids
            seen = yield from self._to_the_end(pager, everything)
            everything.complete &= lacking <= seen
            return seen

    def _read_types_again(
        self, partition: Partition, untyped: set[str], listings: list[Listing], types: dict[str, JobType]
    ) -> Reader[None]:
        """Looks once more for the types of jobs that came after their type was listed, or that a page which moved
        hid there: without one, a backup would not count as one. Once a load is enough to know that jobs have none."""
        if not untyped or self._typeless:
            return
        for job_type in JobType:
            yield from self._read_type(partition, job_type, listings, types)
            if untyped <= types.keys():
                return
        self._typeless = untyped.isdisjoint(types)

    def peek(self, partition: Partition, job_type: JobType | None = None) -> Reader[Listing]:
        """One small page of a listing: complete if that is all there is."""
        listing = Listing(job_type)
        with _Clock(listing):
            pager = self._pager(partition, job_type)
            pager.page_size = min(pager.page_size, MIN_PAGE_SIZE)
            yield from self._first_page(pager, listing)
            listing.whole = not pager.next() and pager.ended and not pager.more_is_promised
            listing.complete = listing.whole and not listing.errors
        return listing

    def listing(self, partition: Partition, job_type: JobType | None) -> Reader[Listing]:
        """Reads one listing to its end."""
        listing, pager = Listing(job_type), self._pager(partition, job_type)
        with _Clock(listing):
            yield from self._first_page(pager, listing)
            yield from self._to_the_end(pager, listing)
        return listing

    def _pager(self, partition: Partition, job_type: JobType | None) -> Pager:
        filters = partition.filters(job_type)
        return Pager(_in_whole_days(filters) if self._whole_days else filters, self._page_size)

    def _first_page(self, pager: Pager, listing: Listing) -> Reader[None]:
        """Asks for the first page: without a number, or where that is refused or shows nothing, by the numbers that a
        first page may have; and where all of that is refused, over whole days. What brings jobs is remembered."""
        size, answers, refusal = pager.page_size, None, None
        for index in [self._first_index] if self._first_index_is_known else FIRST_INDEXES:
            if index == "0" and answers is not None:
                continue  # 0 is what an index that is not given means
            pager.page_size = min(size, self._page_size)
            try:
                found = yield from self._ask_first(pager, index, listing)
            except RefusedParametersError as error:
                refusal = error
                continue
            except EndpointMissingError:
                if refusal is None:
                    raise
                continue  # what is not there is a page of this number
            if found[0].page.rows:
                self._first_index, self._first_index_is_known = index, True
            if answers is None or found[0].page.rows:
                answers = found
            if found[0].page.rows or (found[0].page.total == 0 and index is None):
                break
        if answers is None:
            assert refusal is not None
            # Not by what is known of the API: another listing may have learnt it while this one asked.
            if _is_in_whole_days(pager.filters):
                raise refusal
            self._whole_days, pager.filters, pager.page_size = True, _in_whole_days(pager.filters), size
            try:
                return (yield from self._first_page(pager, listing))
            except RefusedParametersError:
                self._whole_days = False
                raise refusal from None
        answers = yield from self._fit_size(answers, pager, listing)
        listing.page_size = pager.page_size
        self._take(answers, pager, listing)

    def _fit_size(self, first: list[Answer], pager: Pager, listing: Listing) -> Reader[list[Answer]]:
        """Asks for the first page again, with the size of pages that the API gives if that is less than was asked for:
        it may still count pages of the size that was asked for, and so skip jobs. Once a load is enough to know, which
        takes a page after it: a link or a total may speak of more after the last page as well. Until then, each listing
        is asked for again."""
        page = first[0].page
        given, more = len(page.rows), bool(page.next_link) or (page.total or 0) > len(page.rows)
        fits = self._size_is_known and pager.page_size <= self._page_size
        if fits or not more or not 0 < given < pager.page_size:
            return first
        pager.page_size = self._page_size if self._size_is_known else given
        listing.add(first)
        return (yield pager.first(self._first_index))

    def _ask_first(self, pager: Pager, index: str | None, listing: Listing) -> Reader[list[Answer]]:
        """Asks for a first page with ever smaller sizes, as long as the API refuses; what it takes is remembered."""
        wanted = pager.page_size
        if index is not None:
            # Refused at the smallest size, it is refused for something else.
            pager.page_size = min(wanted, MIN_PAGE_SIZE)
            yield pager.first(index)
            pager.page_size = wanted
        while True:
            try:
                answers = yield pager.first(index)
            except RefusedParametersError:
                listing.requests += 1
                if pager.page_size <= MIN_PAGE_SIZE:
                    raise
                pager.page_size = max(pager.page_size // 2, MIN_PAGE_SIZE)
            else:
                if pager.page_size < wanted:
                    self._page_size = pager.page_size
                return answers

    def _to_the_end(self, pager: Pager, listing: Listing) -> Reader[set[str]]:
        """Pages on from the first page, and over again (``MAX_READS`` times in all) while pages move or jobs are
        missing; the ids that were seen the last time.

        A job inserted between two page requests shows some job twice, which does no harm; one that is removed hides
        another. Both are seen by a total that changes, by a page that overlaps another, or by a first page that,
        read again at the end, is not what it was.
        """
        for reads in range(MAX_READS):
            if reads:
                pager, listing.errors = Pager(pager.filters, self._page_size), ""
                yield from self._first_page(pager, listing)
            moved = yield from self._read_on(pager, listing)
            if listing.complete and not moved:
                break
        return pager.seen_ids

    def _read_on(self, pager: Pager, listing: Listing) -> Reader[bool]:
        """Pages on from the first page, which was read; whether pages moved meanwhile.

        Jobs that appear do no harm; where the total fell, a job may have moved to a page that was read already.
        """
        first, totals, moved = set(pager.seen_ids), [listing.reported_total], False
        while requests := pager.next():
            seen = len(pager.seen_ids)
            try:
                answers = yield requests
            except (RefusedParametersError, EndpointMissingError):
                listing.requests += 1
                if pager.more_is_said:
                    raise
                # A page that only we thought there might be: some answer 400 or 404 after the last.
                pager.ended = True
                break
            moved |= self._take(answers, pager, listing)
            if pager.page_size < self._page_size and not self._size_is_known and len(pager.seen_ids) > seen:
                self._size_is_known, self._page_size = True, pager.page_size
            # A page after the last, be it empty or 204, may count its own jobs only, and some count on page one alone:
            # what 0 says here is no news.
            totals += [answer.page.total for answer in answers if answer.page.total]
        matches = pager.total_counts_matches or pager.pages == 1
        if pager.pages > 1:
            again = yield pager.first(self._first_index)
            ids = set(again[0].page.rows)
            moved |= ids != first
            pager.seen_ids |= ids
            listing.add(again)
            totals.append(again[0].page.total)
            moved |= matches and len(set(totals)) > 1
        listing.total_scope = "absent"
        if listing.reported_total is not None and len(pager.seen_ids) <= max(filter(None, totals), default=0):
            listing.total_scope = "matches" if matches else "page"
        if listing.total_scope == "matches":
            counts = [total for total in totals if total is not None]
            listing.complete = counts == sorted(counts) and len(pager.seen_ids) >= counts[-1]
        else:
            listing.complete = pager.ended and not moved
        listing.complete &= not listing.errors
        return moved

    def _take(self, answers: Iterable[Answer], pager: Pager, listing: Listing) -> bool:
        """Keeps pages; whether one overlaps those before it in part, which pages do only when they move."""
        overlaps = False
        for answer in answers:
            ids: set[str] = set(answer.page.rows)
            new = len(ids - pager.seen_ids)
            overlaps |= 0 < new < len(ids)
            pager.seen_ids |= ids
            pager.take(answer.page, new)
            listing.add([answer])
        return overlaps


def _count_matches(listings: Sequence[Listing]) -> bool:
    """Whether totals proved to count matches: one that counts something else might add up by chance."""
    return all(one.total_scope == "matches" for one in listings)


class _Clock:
    """Adds the time a block takes to ``elapsed_seconds`` of a listing."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._listing.elapsed_seconds += time.monotonic() - self._began
