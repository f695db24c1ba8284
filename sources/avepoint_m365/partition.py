"""Reading one partition: every job of a location and object type in a window, and the proof that none is missing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from avepoint_m365.client import JobsClient, RefusedParametersError
from avepoint_m365.paging import Page, Pager, Params
from avepoint_m365.records import JobRecord, read_job
from avepoint_m365.settings import JobType, ObjectType

MAX_READS = 3
"""How often a listing is read over before a partition counts as incomplete."""
MIN_PAGE_SIZE = 10


@dataclass(frozen=True)
class Partition:
    """What is asked for: one location and object type, from ``start`` to ``end`` (UTC)."""

    location: str | None
    object_type: ObjectType
    start: datetime
    end: datetime

    def filters(self, job_type: JobType | None) -> Params:
        """The query parameters that select it, as the vendor's table spells them."""
        params = {
            "startTime": self.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "finishTime": self.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "objectType": str(self.object_type.value),
        }
        if job_type is not None:
            params["jobType"] = str(job_type.value)
        if self.location is not None:
            params["location"] = self.location
        return params


@dataclass
class Listing:
    """All jobs of one set of filters, with what ``load_audit`` says of them."""

    job_type: JobType | None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    jobs: dict[str, JobRecord] = field(default_factory=dict)
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
    """What a partition holds: its jobs, each with its job type where that is known, and the listings read."""

    partition: Partition
    jobs: dict[str, JobRecord]
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
        everything = self._list(partition, None)
        jobs, types, listings = dict(everything.jobs), {}, [everything]
        for job_type in JobType if self._split else ():
            if everything.complete and all(one in types for one in jobs):
                break
            listing = self._list(partition, job_type)
            listings.append(listing)
            types.update(dict.fromkeys(listing.jobs, job_type))
            jobs.update(listing.jobs)
        return PartitionResult(partition, jobs, types, listings)

    def _list(self, partition: Partition, job_type: JobType | None) -> Listing:
        listing = Listing(job_type)
        began, attempts = time.monotonic(), self._client.counter.attempts
        for _ in range(MAX_READS):
            self._read_once(partition.filters(job_type), listing)
            if listing.complete:
                break
        listing.elapsed_seconds = time.monotonic() - began
        listing.retries = max(self._client.counter.attempts - attempts - listing.requests, 0)
        return listing

    def _read_once(self, filters: Params, listing: Listing) -> None:
        """Pages through the listing once, adding to what earlier reads found; a job's newest reading counts."""
        pager = Pager(filters, self._page_size)
        page, params = self._first(pager, listing)
        while True:
            new = self._collect(page, pager, listing)
            following = pager.next(page, new)
            if following is None:
                break
            params = following
            page = self._ask(params, listing)
        if pager.pages > 1 and not pager.total_counts_matches:
            # Pages may have moved while we read: page one, read again, must bring nothing new.
            again = self._ask(pager.first(), listing)
            listing.complete = self._collect(again, pager, listing) == 0
        else:
            listing.complete = listing.reported_total is None or len(listing.jobs) >= listing.reported_total
        if pager.total_counts_matches:
            listing.total_basis = "matches"
        elif listing.reported_total is not None:
            listing.total_basis = "page" if pager.pages > 1 else "matches"

    def _first(self, pager: Pager, listing: Listing) -> tuple[Page, Params]:
        while True:
            params = pager.first()
            try:
                return self._ask(params, listing), params
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
        new = 0
        for raw in page.rows:
            record = read_job(raw)
            new += record.id not in pager.seen_ids
            pager.seen_ids.add(record.id)
            listing.jobs[record.id] = record
        return new
