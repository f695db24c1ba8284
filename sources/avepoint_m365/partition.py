"""Reading one partition: every job of a location and object type in a window, and the proof that none is missing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from avepoint_m365.client import JobsClient, RefusedParametersError
from avepoint_m365.paging import Page, Pager, Params
from avepoint_m365.records import as_job, read_id
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
        """The range as the vendor's table spells it."""
        form = "%Y-%m-%dT%H:%M:%SZ"
        return {"startTime": self.start.strftime(form), "finishTime": self.asked_end.strftime(form)}


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


@dataclass(frozen=True, slots=True)
class Sighting:
    """A job as one answer showed it; ``at`` orders sightings of the same job (monotonic seconds)."""

    raw: Mapping[str, Any]
    at: float


Sightings = dict[str, Sighting]


def keep_newest(known: Sightings, more: Mapping[str, Sighting]) -> None:
    """Adds sightings to ``known``; of two of one job the later stays."""
    for job_id, sighting in more.items():
        if job_id not in known or known[job_id].at <= sighting.at:
            known[job_id] = sighting


@dataclass
class Listing:
    """All jobs of one set of filters, with what ``load_audit`` says of them."""

    job_type: JobType | None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    jobs: Sightings = field(default_factory=dict)
    reported_total: int | None = None
    total_basis: str = "absent"
    endpoint: str = ""
    page_size: int = 0
    requests: int = 0
    retries: int = 0
    complete: bool = False
    elapsed_seconds: float = 0.0


@dataclass
class PartitionResult:
    """What a partition holds: its jobs, their job types where known, and the listings that were read."""

    partition: Partition
    jobs: Sightings
    job_types: dict[str, JobType]
    listings: list[Listing]

    @property
    def complete(self) -> bool:
        """Whether every listing was proved complete."""
        return all(one.complete for one in self.listings)


class PartitionReader:
    """Reads partitions with one client, halving the page size where the API refuses it."""

    def __init__(self, client: JobsClient, page_size: int, split_job_types: bool) -> None:
        self._client, self._page_size, self._split = client, page_size, split_job_types

    def read(self, partition: Partition) -> PartitionResult:
        """Reads all jobs; then, per job type, which of them are of that type, until each has one.

        Raises:
            SourceError: where the API could not be asked or not be understood.
        """
        everything = self.list(partition, None)
        jobs: Sightings = dict(everything.jobs)
        types: dict[str, JobType] = {}
        listings = [everything]
        for job_type in JobType if self._split else ():
            if everything.complete and len(types) == len(jobs):
                break
            listing = self.list(partition, job_type)
            listings.append(listing)
            keep_newest(jobs, listing.jobs)
            for job_id in listing.jobs:
                types.setdefault(job_id, job_type)
        return PartitionResult(partition, jobs, types, listings)

    def peek(self, partition: Partition) -> Listing:
        """One small page of a listing: complete if that is all there is."""
        listing = Listing(None)
        pager = Pager(partition.filters(None), MIN_PAGE_SIZE)
        page = self._ask(pager.first(), listing)
        listing.complete = pager.next(page, self._collect(page, pager, listing)) is None
        return listing

    def list(self, partition: Partition, job_type: JobType | None) -> Listing:
        """Reads one listing to its end, over again (at most ``MAX_READS`` times) while pages move or jobs are missing.

        A job inserted between two page requests shows some job twice, which does no harm; one that is removed hides
        another. Both are seen by a total that changes, by a page that overlaps another, or by a first page that,
        read again at the end, brings something new.
        """
        listing = Listing(job_type)
        began, attempts = time.monotonic(), self._client.traffic.attempts_of_thread
        for _ in range(MAX_READS):
            moved = self._read_once(partition.filters(job_type), listing)
            if listing.complete and not moved:
                break
        listing.elapsed_seconds = time.monotonic() - began
        listing.retries = max(self._client.traffic.attempts_of_thread - attempts - listing.requests, 0)
        return listing

    def _read_once(self, filters: Params, listing: Listing) -> bool:
        """Pages through the listing once, adding to what earlier reads found; whether pages moved meanwhile."""
        pager = Pager(filters, self._page_size)
        page = self._first(pager, listing)
        totals, moved = {page.total}, False
        while True:
            new = self._collect(page, pager, listing)
            moved |= 0 < new < len(page.rows)
            following = pager.next(page, new)
            if following is None:
                break
            page = self._ask(following, listing)
            totals.add(page.total)
        matches = pager.total_counts_matches or pager.pages == 1
        if pager.pages > 1:
            again = self._ask(pager.first(), listing)
            moved |= self._collect(again, pager, listing) > 0
            moved |= matches and len(totals | {again.total}) > 1
        if listing.reported_total is not None:
            listing.total_basis = "matches" if matches else "page"
        if listing.total_basis == "matches" and listing.reported_total is not None:
            listing.complete = len(listing.jobs) >= listing.reported_total
        else:
            listing.complete = not moved
        return moved

    def _first(self, pager: Pager, listing: Listing) -> Page:
        while True:
            try:
                return self._ask(pager.first(), listing)
            except RefusedParametersError:
                if pager.page_size <= MIN_PAGE_SIZE:
                    raise
                pager.page_size = self._page_size = max(pager.page_size // 2, MIN_PAGE_SIZE)

    def _ask(self, params: Params, listing: Listing) -> Page:
        listing.requests += 1
        page, endpoint = self._client.page(params)
        listing.endpoint, listing.page_size = endpoint.value, int(params["pageSize"])
        if page.total is not None:
            listing.reported_total = page.total
        return page

    def _collect(self, page: Page, pager: Pager, listing: Listing) -> int:
        """Keeps the page's jobs; the number of ids this read had not seen."""
        before, at = len(pager.seen_ids), time.monotonic()
        sightings = {read_id(raw): Sighting(raw, at) for raw in map(as_job, page.rows)}
        pager.seen_ids.update(sightings)
        listing.jobs.update(sightings)
        return len(pager.seen_ids) - before
