"""Scan a window: read all its jobs once, before any is classified, and check responses that may be wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import pyarrow as pa

from avepoint_m365.api.client import JobsClient
from avepoint_m365.endpoints import ParameterSpelling
from avepoint_m365.exceptions import (
    BadResponseError,
    EndpointMissingError,
    MissingPermissionError,
    RedirectedError,
    RefusedParametersError,
    RefusedTokenError,
    SourceError,
)
from avepoint_m365.extract.bulk import Bulk, BulkReader
from avepoint_m365.extract.chunks import count_by_first_pages, find_chunk_end, jobs_that_fit
from avepoint_m365.extract.classify import Dimension
from avepoint_m365.extract.cut_lists import learn_from_usual_limits
from avepoint_m365.extract.deduplicate import deduplicate_latest, oldest_finished
from avepoint_m365.extract.first_page import MIN_PAGE_SIZE
from avepoint_m365.extract.first_pages import FirstPages
from avepoint_m365.extract.limits import REFUSALS, RangeLimits, find_earliest_start, find_longest_range
from avepoint_m365.extract.listing import Listing, StartedListing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.extract.truncation import find_untruncated_range
from avepoint_m365.extract.window import DAY, EDGE, Selection, Window

logger = logging.getLogger(__name__)

NOT_IN_USE = (
    EndpointMissingError,
    RedirectedError,
    MissingPermissionError,
    RefusedTokenError,
    RefusedParametersError,
    BadResponseError,
)
"""Errors of a generation of the endpoint that a host lacks, or that the credentials may not use."""

LONG_RANGE = timedelta(days=31)
"""A server may silently shorten a longer range, so its listing is checked."""


@dataclass
class Scan:
    """Hold the jobs of a window.

    Attributes:
        window: The window, or its first chunk.
        listings: The listings that hold the rows.
        bulk: The listings by type of a range with mostly unknown jobs; None if the range was read without types.
        chunk_end: The end of the chunk (UTC); None if the window was read to its end.
        jobs: The jobs of all listings (``FRAME``), each once.
    """

    window: Window
    listings: list[Listing]
    bulk: Bulk | None = None
    chunk_end: datetime | None = None
    jobs: pa.Table = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = deduplicate_latest(self.listings)

    @property
    def audited(self) -> list[Listing]:
        """Return every listing, for ``load_audit``."""
        return self.bulk.listings if self.bulk else self.listings

    @cached_property
    def ids(self) -> set[str]:
        """Return the ids of all jobs."""
        return set(self.jobs["id"].to_pylist())


class WindowScanner:
    """Scan windows."""

    by_location = False
    """Whether each location is listed as well: the API returns some jobs only to requests with their location."""

    confirms_empty = True
    """Whether an empty response is confirmed by further requests; at most once a day for a tenant without jobs."""

    def __init__(self, client: JobsClient, reader: ListingReader, limits: RangeLimits, options: ExtractOptions) -> None:
        self._client, self._reader, self._limits, self._options = client, reader, limits, options
        self._first_pages = FirstPages(reader)

    @property
    def confirmed_no_list(self) -> bool:
        """Return whether a response without a list of jobs was repeated, and had none again."""
        return self._first_pages.confirmed_no_list

    def scan(self, window: Window, others: Sequence[Dimension], most_is_unknown: Callable[[set[str]], bool]) -> Scan:
        """Return the jobs of a window, or of its first chunk.

        Args:
            window: The window of the load.
            others: Dimensions beside the object type that a bulk read labels.
            most_is_unknown: Returns whether the warehouse lacks most of the jobs with some ids.

        Raises:
            SourceError: if no first page can be read.
        """
        while True:
            if self._limits.earliest and self._limits.earliest > window.query_start:
                window = window.since(self._limits.earliest)
            try:
                if self._limits.longest and window.length > self._limits.longest:
                    return self._read_in_pieces(window, self._limits.longest)
                scan = self._read(window, others, most_is_unknown)
            except REFUSALS as refusal:
                if window.length <= DAY:
                    raise
                self._learn_limits(window, refusal)
                continue
            is_long = scan.window.length > LONG_RANGE
            # A server that ignores all parameters ignores those of paging as well, and its list has no end.
            has_no_end = any(not listing.complete and listing.error_kind is None for listing in scan.listings)
            if is_long or has_no_end:
                if self._client.spelling is ParameterSpelling.camel and self._detect_pascal_case(scan):
                    continue
                if is_long and self._limits.longest is None and self._detect_longest_range(scan):
                    continue
            if learn_from_usual_limits(self._reader, scan.bulk.all_jobs if scan.bulk else scan.listings):
                continue
            return scan

    def _read_in_pieces(self, window: Window, longest: timedelta) -> Scan:
        """Return the scan of a window that is longer than the server answers, up to the size of a chunk."""
        listings: list[Listing] = []
        start, jobs = window.query_start, 0
        while start < window.query_end:
            end = min(start + longest, window.query_end)
            piece = window if start == window.query_start else window.since(start)
            if end < window.query_end:
                piece = piece.until(end)
            finish = [self._first_pages.finish(started_listing) for started_listing in self._begin_all(piece)]
            read = [listing for group in self._reader.pool.run_parallel(finish) for listing in group]
            listings += read
            jobs += sum(len(listing.ids) for listing in read)
            start = end - EDGE if end < window.query_end else end
            if self._options.chunk_jobs and jobs >= self._options.chunk_jobs and end < window.end:
                return Scan(window.until(end), listings, None, end)
        return Scan(window, listings)

    def _learn_limits(self, window: Window, refusal: SourceError) -> None:
        if self._limits.longest is None:
            self._limits.longest = find_longest_range(self._reader, window, refusal)
        else:
            self._limits.earliest = find_earliest_start(
                self._reader, window, self._limits, self._options.until, refusal
            )

    def _selections(self, window: Window) -> list[Selection]:
        """Return one selection for all jobs, or one for each object type if only some are loaded."""
        if self._options.loads_all_types:
            locations = self._options.locations if self.by_location else ()
            return [Selection(window), *(Selection(window, location=location) for location in locations)]
        return [Selection(window, object_type=object_type) for object_type in self._options.object_types]

    def _read(self, window: Window, others: Sequence[Dimension], most_is_unknown: Callable[[set[str]], bool]) -> Scan:
        started, chunk_end = self._begin(window), None
        if self._options.chunk_jobs:
            most = min(self._options.chunk_jobs, jobs_that_fit(started, self._options.chunk_bytes))
            reaches_back = window.query_start != window.start
            own = self._begin_all(window.since(window.start), MIN_PAGE_SIZE) if reaches_back else started
            end = find_chunk_end(
                window,
                count_by_first_pages(own),
                most,
                lambda part: count_by_first_pages(self._begin(part, MIN_PAGE_SIZE)),
            )
            if end:
                window, chunk_end = window.until(end), end
                started = self._begin(window)
        if self._is_for_bulk(started, most_is_unknown):
            reader = BulkReader(self._reader, self._limits, self._options.split_job_types)
            bulk = reader.read(window, started[0], others)
            return Scan(window, bulk.rows, bulk, chunk_end)
        finish = [self._first_pages.finish(started_listing) for started_listing in started]
        listings = [listing for group in self._reader.pool.run_parallel(finish) for listing in group]
        return Scan(window, listings, None, chunk_end)

    def _is_for_bulk(self, started: Sequence[StartedListing], most_is_unknown: Callable[[set[str]], bool]) -> bool:
        """Return whether a listing of all jobs has several pages, by its total, and most of its jobs are unknown."""
        listing = started[0].listing
        several_pages = (listing.reported_total or 0) > len(listing.ids) > 0
        whole_is_all = self._options.loads_all_types and not self.by_location
        return whole_is_all and several_pages and most_is_unknown(listing.ids)

    def _begin_all(self, window: Window, page_size: int | None = None) -> list[StartedListing]:
        selections = self._selections(window)
        # An empty response to a single selection is confirmed by itself.
        confirms_no_list = self.confirms_empty and len(selections) > 1
        return self._first_pages.begin_all(selections, page_size, confirms_no_list)

    def _begin(self, window: Window, page_size: int | None = None) -> list[StartedListing]:
        started = self._begin_all(window, page_size)
        read = [started_listing.listing for started_listing in started if not started_listing.failure]
        shows_any = len(read) < len(started) or any(listing.ids or listing.pages[-1].info.next_link for listing in read)
        if page_size is None and not shows_any:
            return self._confirm_empty(window, started)
        return started

    def _confirm_empty(self, window: Window, started: list[StartedListing]) -> list[StartedListing]:
        """Return the first pages; they are read again if the API has jobs although its response is empty.

        A server may return an empty list once, or for large pages, or for one generation of the endpoint.
        """
        if not self.confirms_empty:
            return started
        selection, paging = self._selections(window)[0], self._reader.paging
        if self._reader.probe(selection).ids:
            again = self._begin_with_smaller_pages(window)
            if again[0].listing.page_size < self._options.page_size:
                logger.warning(
                    f"Empty response: the API returns jobs only in pages of {paging.page_size}. Set page_size to that."
                )
            else:
                logger.warning("Empty response: the API returned jobs when the request was repeated.")
            return again
        return self._begin(window) if self._other_generation_has_jobs(selection) else started

    def _other_generation_has_jobs(self, selection: Selection) -> bool:
        """Return whether the other generation of the endpoint has jobs; later requests then go to it.

        A host may lack that generation or refuse it, which must not end a load that the first one answered.

        Raises:
            SourceError: if the other generation fails in any other way.
        """
        if not self._client.switch_generation():
            return False
        has_jobs = False
        with suppress(*NOT_IN_USE):
            has_jobs = bool(self._reader.probe(selection).ids)
        if not has_jobs:
            self._client.switch_generation()
        return has_jobs

    def use(self, options: ExtractOptions) -> None:
        """Use other options from now on."""
        self._options = options

    def _begin_with_smaller_pages(self, window: Window) -> list[StartedListing]:
        paging = self._reader.paging
        while True:
            started = [self._reader.begin(selection) for selection in self._selections(window)]
            if any(started_listing.listing.ids for started_listing in started) or paging.page_size <= MIN_PAGE_SIZE:
                return started
            paging.page_size = max(paging.page_size // 2, MIN_PAGE_SIZE)

    def _detect_pascal_case(self, scan: Scan) -> bool:
        """Detect whether the server ignores ``startTime`` and reads ``StartTime``; later requests then use that name.

        A server that ignores the range returns jobs which start after its end.
        """
        job = oldest_finished(scan.jobs)
        if job is None or not self._ignores_range_before(job.start_time):
            return False
        self._client.spelling = ParameterSpelling.pascal
        if self._ignores_range_before(job.start_time):
            self._client.spelling = ParameterSpelling.camel
            return False
        return True

    def _ignores_range_before(self, moment: datetime) -> bool:
        """Return whether a range that ends two days before ``moment`` returns jobs from around it."""
        end = moment - 2 * DAY
        starts = deduplicate_latest([self._reader.probe(Selection(Window.exact(end - DAY, end)))])["start_time"]
        return any(start is not None and start > moment - DAY for start in starts.to_pylist())

    def _detect_longest_range(self, scan: Scan) -> bool:
        """Detect the longest range that the server does not shorten; return whether it shortened this one."""
        selections = self._first_pages.readable(self._selections(scan.window))
        self._limits.longest = find_untruncated_range(
            self._reader, selections, scan.jobs, scan.listings, self.confirms_empty
        )
        if self._limits.longest is None:
            return False
        logger.warning(
            f"Long ranges are incomplete: the API returns at most {self._limits.longest.days} days of jobs. History is "
            "read in ranges of that length."
        )
        return True
