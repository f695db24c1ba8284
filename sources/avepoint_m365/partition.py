"""Reading one partition: every job of a location and object type in a window, and the proof that none is missing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from avepoint_m365.client import RefusedParametersError
from avepoint_m365.dispatch import Answer, Reader
from avepoint_m365.paging import Pager, Params
from avepoint_m365.records import FRAME, SEEN_AT
from avepoint_m365.settings import ALL, JobType, ObjectType

MAX_READS = 3
"""How often a listing is read over before a partition counts as incomplete."""
MIN_PAGE_SIZE = 10


@dataclass(frozen=True)
class Window:
    """A time range in UTC, ends included; ``asked_end`` may lie beyond ``end`` to allow for clocks that differ."""

    start: datetime
    end: datetime
    asked_end: datetime

    def parameters(self) -> Params:
        """The range as the vendor's table spells it, in whole seconds that hold all of it."""
        form = "%Y-%m-%dT%H:%M:%SZ"
        end = self.asked_end + timedelta(microseconds=999_999)
        return {"startTime": self.start.strftime(form), "finishTime": end.strftime(form)}


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

    def reaching_back_to(self, start: datetime) -> Partition:
        """The same with a window that starts at ``start`` if that is earlier."""
        return replace(self, window=replace(self.window, start=min(self.window.start, start)))

    def until(self, end: datetime) -> Partition:
        """The same with a window that ends at ``end``."""
        return replace(self, window=Window(self.window.start, end, end))

    def __str__(self) -> str:
        """For logs: exchange_online, or exchange_online in EUR."""
        name = self.object_type.name if self.object_type else "all object types"
        return f"{name} in {self.location}" if self.location else name


@dataclass
class Listing:
    """All jobs of one set of filters, with what ``load_audit`` says of them."""

    job_type: JobType | None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sightings: list[pa.Table] = field(default_factory=list)
    """Tables of ``records.FRAME``, with ``SEEN_AT``."""
    ids: set[str] = field(default_factory=set)
    reported_total: int | None = None
    total_basis: str = "absent"
    endpoint: str = ""
    page_size: int = 0
    requests: int = 0
    retries: int = 0
    complete: bool = False
    elapsed_seconds: float = 0.0

    def add(self, answers: Iterable[Answer]) -> None:
        """Keeps the jobs of pages, and what they say of the whole."""
        for answer in answers:
            self.sightings.append(answer.jobs)
            self.ids.update(answer.page.rows)  # type: ignore[arg-type]
            self.requests += 1
            self.retries += answer.attempts - 1
            self.endpoint = answer.endpoint.value
            if answer.page.total is not None:
                self.reported_total = answer.page.total


@dataclass
class PartitionResult:
    """What a partition holds: its jobs (``records.FRAME``, each once), their types where known, and the listings."""

    partition: Partition
    jobs: pa.Table
    job_types: dict[str, JobType]
    listings: list[Listing]

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


class PartitionReader:
    """Makes the readers of partitions, which share a page size: it is halved where the API refuses it."""

    def __init__(self, page_size: int, split_job_types: bool) -> None:
        self._page_size, self._split = page_size, split_job_types

    def read(self, partition: Partition) -> Reader[PartitionResult]:
        """Reads all jobs and of which type each is.

        Jobs on one page are read from the listing of all types, and the types are asked for until each job has one.
        Where there are more, each type is listed instead, so that no job is read twice, and the total of all types is
        what these must add up to. That takes a total that counts matches; without one both are read.
        """
        everything, pager = Listing(None), Pager(partition.filters(None), self._page_size)
        with _Clock(everything):
            yield from self._first_page(pager, everything)
            by_type = self._split and pager.more_is_promised
            if not by_type:
                yield from self._to_the_end(pager, everything)
        listings, types = [everything], dict[str, JobType]()
        for job_type in JobType if self._split else ():
            listings_say_all = by_type or everything.complete
            if listings_say_all and len(types) >= max(
                len(everything.ids), (by_type and everything.reported_total) or 0
            ):
                break
            listing = yield from self.list(partition, job_type)
            listings.append(listing)
            types |= dict.fromkeys(listing.ids - types.keys(), job_type)
        if by_type:
            yield from self._reconcile(partition, everything, types)
        sightings = [table for listing in listings for table in listing.sightings]
        return PartitionResult(partition, newest(sightings), types, listings)

    def _reconcile(self, partition: Partition, everything: Listing, types: dict[str, JobType]) -> Reader[None]:
        """Proves what the types added up to by the total of all, read again; reads all where it does not."""
        with _Clock(everything):
            everything.ids |= types.keys()
            pager = Pager(partition.filters(None), self._page_size)
            yield from self._first_page(pager, everything)
            everything.total_basis = "matches"
            everything.complete = len(everything.ids) == len(types) >= (everything.reported_total or 0)
            if not everything.complete:
                yield from self._to_the_end(pager, everything)

    def peek(self, partition: Partition) -> Reader[Listing]:
        """One small page of a listing: complete if that is all there is."""
        listing = Listing(None)
        with _Clock(listing):
            pager = Pager(partition.filters(None), MIN_PAGE_SIZE)
            self._take((yield pager.first()), pager, listing)
            listing.complete = not pager.next()
        return listing

    def list(self, partition: Partition, job_type: JobType | None) -> Reader[Listing]:
        """Reads one listing to its end."""
        listing, pager = Listing(job_type), Pager(partition.filters(job_type), self._page_size)
        with _Clock(listing):
            yield from self._first_page(pager, listing)
            yield from self._to_the_end(pager, listing)
        return listing

    def _first_page(self, pager: Pager, listing: Listing) -> Reader[None]:
        pager.page_size = self._page_size
        while True:
            try:
                answers = yield pager.first()
                break
            except RefusedParametersError:
                listing.requests += 1
                if pager.page_size <= MIN_PAGE_SIZE:
                    raise
                pager.page_size = self._page_size = max(pager.page_size // 2, MIN_PAGE_SIZE)
        listing.page_size = pager.page_size
        self._take(answers, pager, listing)

    def _to_the_end(self, pager: Pager, listing: Listing) -> Reader[None]:
        """Pages on from the first page, and over again (at most ``MAX_READS`` times) while pages move or jobs are
        missing.

        A job inserted between two page requests shows some job twice, which does no harm; one that is removed hides
        another. Both are seen by a total that changes, by a page that overlaps another, or by a first page that,
        read again at the end, is not what it was.
        """
        for reads in range(MAX_READS):
            if reads:
                pager = Pager(pager.filters, self._page_size)
                yield from self._first_page(pager, listing)
            moved = yield from self._read_on(pager, listing)
            if listing.complete and not moved:
                break

    def _read_on(self, pager: Pager, listing: Listing) -> Reader[bool]:
        """Pages on from the first page, which was read; whether pages moved meanwhile."""
        first, totals, moved = set(pager.seen_ids), {listing.reported_total}, False
        while requests := pager.next():
            answers = yield requests
            moved |= self._take(answers, pager, listing)
            totals |= {answer.page.total for answer in answers}
        matches = pager.total_counts_matches or pager.pages == 1
        if pager.pages > 1:
            again = yield pager.first()
            moved |= set(again[0].page.rows) != first
            listing.add(again)
            moved |= matches and len(totals | {again[0].page.total}) > 1
        if listing.reported_total is not None:
            listing.total_basis = "matches" if matches else "page"
        if listing.total_basis == "matches" and listing.reported_total is not None:
            listing.complete = len(listing.ids) >= listing.reported_total
        else:
            listing.complete = not moved
        return moved

    def _take(self, answers: Iterable[Answer], pager: Pager, listing: Listing) -> bool:
        """Keeps pages; whether one overlaps those before it in part, which pages do only when they move."""
        overlaps = False
        for answer in answers:
            ids: set[str] = set(answer.page.rows)  # type: ignore[arg-type]
            new = len(ids - pager.seen_ids)
            overlaps |= 0 < new < len(ids)
            pager.seen_ids |= ids
            pager.take(answer.page, new)
            listing.add([answer])
        return overlaps


class _Clock:
    """Adds the time a block takes to ``elapsed_seconds`` of a listing."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._listing.elapsed_seconds += time.monotonic() - self._began
