"""Read a range with mostly unknown jobs: list each object type for the rows, and rare job types for labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from avepoint_m365.constants import PRIMARY_LOCATION, JobType
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.classify import (
    FATAL,
    JOB_TYPES,
    OBJECT_TYPES,
    Dimension,
    Evidence,
    Labels,
    apply_labels,
    read_or_fail,
)
from avepoint_m365.extract.complete import read_completely
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, ListingReader, StartedListing
from avepoint_m365.extract.window import Selection, Window

LABEL_PAGE_FACTOR = 2
"""Listings that only label jobs use pages larger by this factor, of which no more than the ids is parsed."""


@dataclass
class Bulk:
    """Hold the jobs of a range with their labels.

    Attributes:
        whole: The listing of all object types; its rows were read only if the object types do not add up to it.
        rows: The listings whose pages hold the rows.
        labels: By dimension.
    """

    whole: list[Listing]
    rows: list[Listing] = field(default_factory=list)
    labels: dict[str, Labels] = field(default_factory=dict)

    @property
    def listings(self) -> list[Listing]:
        """Return every listing, for ``load_audit``."""
        return [*self.whole, *(listing for labels in self.labels.values() for listing in labels.listings)]


class BulkReader:
    """Read ranges with mostly unknown jobs."""

    def __init__(self, reader: ListingReader, limits: RangeLimits, split_job_types: bool) -> None:
        self._reader, self._limits, self._split = reader, limits, split_job_types

    def read(self, window: Window, started: StartedListing, others: Sequence[Dimension]) -> Bulk:
        """Return all jobs of a window; ``started`` is its first page, whose total counts matches.

        Raises:
            SourceError: if no further request can succeed.
        """
        total = started.listing.reported_total or 0
        evidence = Evidence(window, set(started.listing.ids))
        types = self._read_dimension(OBJECT_TYPES, evidence, total, self._reader.paging.page_size)
        ids = set().union(*(listing.ids for listing in types.listings))
        bulk = Bulk(self._prove(window, started, types, ids), [], {"object_type": types})
        bulk.rows = [*bulk.whole, *types.listings]
        everything = ids.union(*(listing.ids for listing in bulk.whole if listing.ids is not ids))
        for dimension in others:
            bulk.labels[dimension.name] = self._label(dimension, evidence, total)
        if self._split:
            bulk.labels["job_type"] = self._label_job_types(evidence, total, everything)
        return bulk

    def _prove(self, window: Window, started: StartedListing, types: Labels, ids: set[str]) -> list[Listing]:
        """Return the listing of all jobs: proved by the totals of the object types, or else read to its end."""
        whole = started.listing
        if not types.failed:
            if len(ids) != whole.reported_total or whole.ids - ids:
                whole.add(self._reader.begin(Selection(window)).listing.pages)
            if len(ids | whole.ids) == len(ids) == whole.reported_total and whole.detail is None:
                whole.ids, whole.complete, whole.total_scope = ids, True, "matches"
                return [whole]
        listings = read_completely(self._reader, Selection(window), self._limits)
        listings[0].requests += whole.requests
        return listings

    def _read_dimension(self, dimension: Dimension, evidence: Evidence, total: int, page_size: int) -> Labels:
        """Return the labels of all values; the listings of filters without effect are not read to their end."""
        selections = [dimension.select(evidence.window, value) for value in dimension.values]
        started = self._reader.pool.side_by_side([self._begin(selection, page_size) for selection in selections])
        totals = {
            value: begun.listing.reported_total or 0
            for value, begun in zip(dimension.values, started, strict=True)
            if isinstance(begun, StartedListing)
        }
        without_effect = _hold_everything(totals, total)
        labels, sets = Labels(), dict[Any, set[str]]()
        finish = [
            self._finish(begun, selection) if value not in without_effect else _unfinished(begun)
            for value, begun, selection in zip(dimension.values, started, selections, strict=True)
        ]
        for value, listings in zip(dimension.values, self._reader.pool.side_by_side(finish), strict=True):
            if value in without_effect:
                continue
            labels.listings += listings
            if all(listing.endpoint for listing in listings):
                sets[value] = set().union(*(listing.ids for listing in listings))
        if dimension.controls and sets and all(evidence.whole <= ids for ids in sets.values()):
            control = self._reader.probe(dimension.select(evidence.window, dimension.controls[0]))
            labels.listings.append(control)
            control.complete = True
            sets[dimension.controls[0]] = control.ids
            without_effect |= set(sets) if control.ids else set()
        apply_labels(dimension, sets, evidence, labels, without_effect)
        return labels

    def _begin(self, selection: Selection, page_size: int) -> Callable[[], StartedListing | Listing]:
        def begin() -> StartedListing | Listing:
            try:
                return self._reader.begin(selection, page_size)
            except SourceError as error:
                if error.kind in FATAL:
                    raise
                (failed,) = read_or_fail(self._reader, selection, self._limits)[:1]
                return failed

        return begin

    def _finish(self, started: StartedListing | Listing, selection: Selection) -> Callable[[], list[Listing]]:
        def finish() -> list[Listing]:
            if isinstance(started, Listing):
                return [started]
            listing = self._reader.finish(started)
            return [listing] if listing.complete else read_or_fail(self._reader, selection, self._limits)

        return finish

    def _label(self, dimension: Dimension, evidence: Evidence, total: int) -> Labels:
        size = LABEL_PAGE_FACTOR * self._reader.paging.page_size
        return self._read_dimension(dimension, evidence, total, size)

    def _label_job_types(self, evidence: Evidence, total: int, ids: set[str]) -> Labels:
        """Return job types: the rare ones are listed, and backups are what remains, if their total says the same."""
        rare = Dimension("job_type", JOB_TYPES.values[1:])
        labels = self._label(rare, evidence, total)
        backups = self._reader.probe(JOB_TYPES.select(evidence.window, JobType.backup))
        remaining = ids - labels.of.keys()
        if not labels.failed and not labels.ignored and len(remaining) == _count(backups):
            backups.complete, backups.total_scope, backups.ids = True, "matches", remaining
            labels.listings.append(backups)
            labels.of |= dict.fromkeys(remaining, JobType.backup.name)
            return labels
        if labels.ignored and (_count(backups) or 0) >= total:
            labels.ignored.add(JOB_TYPES.key(JobType.backup))
            labels.listings.append(backups)
            backups.complete = True
            return labels
        listed = read_or_fail(self._reader, JOB_TYPES.select(evidence.window, JobType.backup), self._limits)
        labels.listings += listed
        for job_id in set().union(*(listing.ids for listing in listed)):
            labels.of.setdefault(job_id, JobType.backup.name)
        return labels


def _count(probe: Listing) -> int | None:
    return len(probe.ids) if probe.is_whole else probe.reported_total


def _unfinished(started: StartedListing | Listing) -> Callable[[], list[Listing]]:
    listing = started if isinstance(started, Listing) else started.listing
    return lambda: [listing]


def _hold_everything(totals: dict[Any, int], total: int) -> set[Any]:
    """Return the values whose total is that of all jobs although others have jobs as well.

    The primary location may: it is an alias of another.
    """
    totals = {value: count for value, count in totals.items() if value != PRIMARY_LOCATION}
    everything = {value for value, count in totals.items() if count >= total > 0}
    others = [count for value, count in totals.items() if value not in everything and count]
    return everything if len(everything) + len(others) > 1 and (len(everything) > 1 or len(others) > 1) else set()
