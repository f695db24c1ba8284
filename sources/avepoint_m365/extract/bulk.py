"""Read a range with mostly unknown jobs by type: the object types for the rows, the rare job types for labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from avepoint_m365.constants import PRIMARY_LOCATION, JobType
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.classify import (
    JOB_TYPES,
    OBJECT_TYPES,
    Classification,
    Dimension,
    Evidence,
    apply_labels,
    read_or_fail,
)
from avepoint_m365.extract.complete import read_completely
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, StartedListing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.precedence import shared_ids
from avepoint_m365.extract.window import Selection, Window

LABEL_PAGE_FACTOR = 2
"""Listings that only label jobs use pages larger by this factor, since only the ids of their jobs are parsed."""


@dataclass
class Bulk:
    """Hold the jobs of a range with their labels.

    Attributes:
        all_jobs: The listing without a type; it is read to its end only if the object types do not add up to it.
        rows: The listings whose pages hold the rows.
        classifications: The classification in each dimension, by the name of the dimension.
    """

    all_jobs: list[Listing]
    rows: list[Listing] = field(default_factory=list)
    classifications: dict[str, Classification] = field(default_factory=dict)

    @property
    def listings(self) -> list[Listing]:
        """Return every listing, for ``load_audit``."""
        classified = (classification.listings for classification in self.classifications.values())
        return [*self.all_jobs, *chain.from_iterable(classified)]


class BulkReader:
    """Read ranges with mostly unknown jobs."""

    def __init__(self, reader: ListingReader, limits: RangeLimits, split_job_types: bool) -> None:
        self._reader, self._limits, self._split = reader, limits, split_job_types

    def read(self, window: Window, started: StartedListing, others: Sequence[Dimension]) -> Bulk:
        """Return all jobs of a window; ``started`` is its first page, whose total counts all of them.

        Raises:
            SourceError: if no further request can succeed.
        """
        total = started.listing.reported_total or 0
        evidence = Evidence(window, set(started.listing.ids))
        types = self._read_dimension(OBJECT_TYPES, evidence, total, self._reader.paging.page_size)
        ids = set().union(*(listing.ids for listing in types.listings))
        bulk = Bulk(self._prove(window, started, types, ids), [], {"object_type": types})
        bulk.rows = [*bulk.all_jobs, *types.listings]
        everything = ids.union(*(listing.ids for listing in bulk.all_jobs))
        evidence = evidence._replace(scanned_ids=everything)
        for dimension in others:
            bulk.classifications[dimension.name] = self._classify(dimension, evidence, total)
        if self._split:
            bulk.classifications["job_type"] = self._classify_job_types(evidence, total)
        return bulk

    def _prove(self, window: Window, started: StartedListing, types: Classification, ids: set[str]) -> list[Listing]:
        """Return the listing of all jobs: complete if the object types add up to its total, or else read to its end."""
        all_jobs = started.listing
        if not types.failed:
            if len(ids) != all_jobs.reported_total or all_jobs.ids - ids:
                all_jobs.add(self._reader.begin(Selection(window)).listing.pages)
            if len(ids | all_jobs.ids) == len(ids) == all_jobs.reported_total and all_jobs.detail is None:
                all_jobs.ids, all_jobs.complete, all_jobs.total_scope = set(ids), True, "matches"
                all_jobs.drop_jobs()
                return [all_jobs]
        listings = read_completely(self._reader, Selection(window), self._limits)
        listings[0].requests += all_jobs.requests
        return listings

    def _read_dimension(self, dimension: Dimension, evidence: Evidence, total: int, page_size: int) -> Classification:
        """Return the labels of all values; a value whose total shows that its filter has no effect is not read."""
        selections: dict[Any, Selection] = {
            value: dimension.select(evidence.window, value) for value in dimension.values
        }
        begin = [self._begin(selection, page_size) for selection in selections.values()]
        begun = dict(zip(selections, self._reader.pool.run_parallel(begin), strict=True))
        first_pages = {
            value: started.listing for value, started in begun.items() if isinstance(started, StartedListing)
        }
        ineffective = _hold_everything(first_pages, total)
        effective = [value for value in selections if value not in ineffective]
        finish = [self._finish(begun[value], selections[value], evidence) for value in effective]
        classification, ids_by_value = Classification(), dict[Any, set[str]]()
        for value, listings in zip(effective, self._reader.pool.run_parallel(finish), strict=True):
            classification.listings += listings
            if all(listing.endpoint for listing in listings):
                ids_by_value[value] = set().union(*(listing.ids for listing in listings))
        if dimension.controls and ids_by_value and all(evidence.contained <= ids for ids in ids_by_value.values()):
            control = self._reader.probe(dimension.select(evidence.window, dimension.controls[0]))
            classification.listings.append(control)
            control.complete = True
            ids_by_value[dimension.controls[0]] = control.ids
            ineffective |= set(ids_by_value) if control.ids else set()
        apply_labels(dimension, ids_by_value, evidence, classification, ineffective)
        return classification

    def _begin(self, selection: Selection, page_size: int) -> Callable[[], StartedListing | list[Listing]]:
        """Return a function that reads the first page of a selection, or all of it if the first attempt fails."""

        def begin() -> StartedListing | list[Listing]:
            try:
                return self._reader.begin(selection, page_size)
            except SourceError as error:
                if error.ends_load:
                    raise
                return read_or_fail(self._reader, selection, self._limits)

        return begin

    def _finish(
        self, begun: StartedListing | list[Listing], selection: Selection, evidence: Evidence
    ) -> Callable[[], list[Listing]]:
        def finish() -> list[Listing]:
            if isinstance(begun, list):
                return begun
            listing = self._reader.finish(begun)
            read = [listing] if listing.complete else read_or_fail(self._reader, selection, self._limits)
            return evidence.without_scanned_jobs(read)

        return finish

    def _classify(self, dimension: Dimension, evidence: Evidence, total: int) -> Classification:
        size = LABEL_PAGE_FACTOR * self._reader.paging.page_size
        return self._read_dimension(dimension, evidence, total, size)

    def _classify_job_types(self, evidence: Evidence, total: int) -> Classification:
        """Return the labels of job types: the rare types are listed, and the remaining jobs are backups.

        A probe has to count as many backups as remain; otherwise backups are listed as well.
        """
        rare = Dimension("job_type", JOB_TYPES.values[1:])
        classification = self._classify(rare, evidence, total)
        backups = self._reader.probe(JOB_TYPES.select(evidence.window, JobType.backup))
        remaining = evidence.scanned_ids - classification.by_id.keys()
        if not classification.failed and not classification.ignored and len(remaining) == _count(backups):
            backups.complete, backups.total_scope, backups.ids = True, "matches", remaining
            classification.listings.append(backups)
            classification.by_id |= dict.fromkeys(remaining, JobType.backup.name)
            return classification
        if classification.ignored and (_count(backups) or 0) >= total:
            classification.ignored.add(JOB_TYPES.key(JobType.backup))
            classification.listings.append(backups)
            backups.complete = True
            return classification
        listed = read_or_fail(self._reader, JOB_TYPES.select(evidence.window, JobType.backup), self._limits)
        classification.listings += evidence.without_scanned_jobs(listed)
        for job_id in set().union(*(listing.ids for listing in listed)):
            classification.by_id.setdefault(job_id, JobType.backup.name)
        return classification


def _count(probe: Listing) -> int | None:
    return len(probe.ids) if probe.holds_all else probe.reported_total


def _hold_everything(first_pages: dict[Any, Listing], total: int) -> set[Any]:
    """Return the values whose total is that of all jobs although two other values have jobs, or another has all.

    A total may ignore the filter although the list is filtered. Such a list shares no job with one of another value.
    The primary location does not count: it is an alias of another one.
    """
    first_pages = {value: listing for value, listing in first_pages.items() if value != PRIMARY_LOCATION}
    totals = {value: listing.reported_total or 0 for value, listing in first_pages.items()}
    everything = {value for value, count in totals.items() if count >= total > 0}
    others = [count for value, count in totals.items() if value not in everything and count]
    if len(everything) < 2 and len(others) < 2:
        return set()
    shared = shared_ids({value: listing.ids for value, listing in first_pages.items()})
    return {value for value in everything if first_pages[value].ids & shared}
