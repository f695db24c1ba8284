"""Find the jobs of a scan that need a label, and the shortest windows in which they can be classified."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pyarrow as pa

from avepoint_m365.extract.bulk import Bulk
from avepoint_m365.extract.classify import (
    JOB_TYPES,
    OBJECT_TYPES,
    Classifier,
    Dimension,
    DimensionLabels,
    Evidence,
    location_dimension,
)
from avepoint_m365.extract.deduplicate import certainly_within, filter_ids
from avepoint_m365.extract.known import KnownJob
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.options import NO_LABELS, ExtractOptions, JobLabels, next_midnight
from avepoint_m365.extract.window import EDGE, Window
from avepoint_m365.parse.frame import TIME


@cache
def _filled(labels: JobLabels, dimension: str, label: str) -> JobLabels:
    """Return labels with that of one dimension if it is missing. The cache holds the few combinations of all jobs."""
    return labels if getattr(labels, dimension) is not None else labels._replace(**{dimension: label})


def ids_without_labels(
    ids: Collection[str], labels_by_id: Mapping[str, JobLabels], dimension_names: Iterable[str]
) -> dict[str, list[str]]:
    """Return the ids of jobs that have no label in a dimension, in their order, for each dimension with such jobs.

    All jobs share few combinations of labels. Each combination is checked once, and jobs only if some combination
    lacks the label: for 100,000 jobs this is ten times as fast.
    """
    combinations, all_known = set(labels_by_id.values()), all(map(labels_by_id.__contains__, ids))
    unlabelled: dict[str, list[str]] = {}
    for name in dimension_names:
        incomplete = {labels for labels in combinations if getattr(labels, name) is None}
        if incomplete or not all_known:
            incomplete.add(NO_LABELS)
            if missing := [job_id for job_id in ids if labels_by_id.get(job_id, NO_LABELS) in incomplete]:
                unlabelled[name] = missing
    return unlabelled


@dataclass
class Labelling:
    """Hold the labels of the jobs of one chunk.

    Attributes:
        by_id: Labels by job id: those of the warehouse, and where one is missing that of a listing.
        listings: The listings of the labels.
        ignored: Keys of filters without effect (``Dimension.key``).
    """

    by_id: dict[str, JobLabels] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)

    def add(self, dimension: str, labels: DimensionLabels) -> None:
        """Fill the labels that are missing in one dimension."""
        self.listings += labels.listings
        self.ignored |= labels.ignored
        for job_id, label in labels.by_id.items():
            known = self.by_id.get(job_id, NO_LABELS)
            self.by_id[job_id] = _filled(known, dimension, label)

    def label_object_types(self, listings: Iterable[Listing]) -> None:
        """Fill object types from listings that name one, unless all hold the same jobs: then the API ignores it."""
        ids_by_type: dict[Any, set[str]] = {}
        for listing in listings:
            ids_by_type.setdefault(listing.selection.object_type, set()).update(listing.ids)
        filled = [ids for ids in ids_by_type.values() if ids]
        if len(filled) > 1 and all(ids == filled[0] for ids in filled):
            self.ignored |= {OBJECT_TYPES.key(value) for value in ids_by_type}
            return
        for value in sorted(ids_by_type):
            labels = DimensionLabels(dict.fromkeys(ids_by_type[value], value.name))
            self.add("object_type", labels)


def known_labels(known: Mapping[str, KnownJob]) -> dict[str, JobLabels]:
    """Return the labels that the warehouse holds, by job id."""
    return {job.id: JobLabels(job.location, job.object_type, job.job_type) for job in known.values()}


def dimensions(options: ExtractOptions) -> list[Dimension]:
    """Return the dimensions in which jobs are classified; object types only if one listing holds all of them."""
    selected = [OBJECT_TYPES] if options.loads_all_types else []
    if options.split_job_types:
        selected.append(JOB_TYPES)
    if options.locations:
        selected.append(location_dimension(options.locations))
    return selected


def add_bulk(labelling: Labelling, bulk: Bulk) -> None:
    """Add the labels of a bulk read."""
    for name, labels in bulk.labels.items():
        labelling.add(name, labels)


class Labeller:
    """Classify the jobs of a scan that have no label yet."""

    def __init__(
        self, reader: ListingReader, limits: RangeLimits, ignored: Iterable[str], labelling: Labelling
    ) -> None:
        self._limits, self._labelling = limits, labelling
        self._classifier = Classifier(reader, limits, ignored)

    def label(
        self,
        jobs: pa.Table,
        window: Window,
        wanted_ids: AbstractSet[str],
        selected_dimensions: Iterable[Dimension],
        by_location: bool = False,
        whole_window: bool = False,
    ) -> None:
        """Fill the missing labels of a scan's jobs.

        Args:
            jobs: The jobs of the scan (``FRAME``).
            window: The window of the scan.
            wanted_ids: Ids of the jobs to classify.
            selected_dimensions: The dimensions in which they are classified.
            by_location: Whether requests name the location of the jobs.
            whole_window: Whether requests ask for the whole window, not only for the range that holds the jobs.
        """
        labelling = self._labelling
        for dimension in selected_dimensions:
            unlabelled = ids_without_labels(wanted_ids, labelling.by_id, [dimension.name])
            missing = set(unlabelled.get(dimension.name, ()))
            times = _times(jobs, missing)
            groups = _by_location(missing, labelling) if by_location else {None: missing}
            for location, group in groups.items():
                for cluster in self._clusters(group, times, window):
                    query_window = window if whole_window else _narrow(window, [times[job_id] for job_id in cluster])
                    self._classify(replace(dimension, location=location), cluster, jobs, query_window, window, times)

    def _classify(
        self,
        dimension: Dimension,
        missing: set[str],
        jobs: pa.Table,
        query_window: Window,
        window: Window,
        times: Mapping[str, Any],
    ) -> None:
        labelling = self._labelling
        known = {job_id: getattr(labels, dimension.name) for job_id, labels in labelling.by_id.items()}
        wide_window = window if self._limits.longest is None or window.length <= self._limits.longest else query_window
        labels = self._classifier.classify(
            dimension, missing, _evidence(query_window, jobs, known), _evidence(wide_window, jobs, known)
        )
        labelling.add(dimension.name, labels)
        remaining = missing - labels.by_id.keys()
        has_effect = not {dimension.key(value) for value in dimension.values} <= labels.ignored
        if remaining and has_effect and len(missing) > 1 and any(len(listing.pages) > 1 for listing in labels.listings):
            # Some servers end a list early and report it as complete. Shorter ranges return the missing jobs.
            for half in _halves(remaining, times, window):
                if half and half != missing:
                    narrow = _narrow(window, [times[job_id] for job_id in half])
                    self._classify(dimension, half, jobs, narrow, window, times)

    def _clusters(self, missing: set[str], times: Mapping[str, Any], window: Window) -> list[set[str]]:
        """Return the jobs in groups, each within a range that the server answers in full."""
        longest = self._limits.longest
        if not missing:
            return []
        if longest is None or window.length <= longest:
            return [missing]
        clusters: list[set[str]] = []
        first: datetime | None = None
        for job_id in sorted(missing, key=lambda job_id: _start(times[job_id], window)):
            start = _start(times[job_id], window)
            if first is None or (times[job_id]["finish_time"] or window.end) - first > longest - 2 * timedelta(days=1):
                clusters.append(set())
                first = start
            clusters[-1].add(job_id)
        return clusters


def _times(jobs: pa.Table, ids: AbstractSet[str]) -> dict[str, Mapping[str, Any]]:
    """Return start and finish of some jobs (UTC) by id. Without ids no job becomes a Python object."""
    if not ids:
        return {}
    return {job["id"]: job for job in filter_ids(jobs.select(["id", "start_time", "finish_time"]), ids).to_pylist()}


def _by_location(ids: Iterable[str], labelling: Labelling) -> dict[str | None, set[str]]:
    groups: dict[str | None, set[str]] = {}
    for job_id in ids:
        groups.setdefault(labelling.by_id.get(job_id, NO_LABELS).location, set()).add(job_id)
    return groups


def _halves(ids: AbstractSet[str], times: Mapping[str, Any], window: Window) -> tuple[set[str], set[str]]:
    """Return the jobs that started earlier, and those that started later."""
    ordered = sorted(ids, key=lambda job_id: (_start(times[job_id], window), job_id))
    middle = len(ordered) // 2
    return set(ordered[:middle]), set(ordered[middle:])


def _start(job: Mapping[str, Any], window: Window) -> datetime:
    start: datetime = job["start_time"] or window.query_start
    return start


def _narrow(window: Window, jobs: list[Mapping[str, Any]]) -> Window:
    """Return the shortest range that holds all of some jobs, whichever of their times the API compares with it.

    It ends at a midnight (UTC), since the API may compare days instead of times.
    """
    ends = [job["finish_time"] for job in jobs]
    # The API may report a finish before the start.
    start = min([*(_start(job, window) for job in jobs), *filter(None, ends)])
    end = window.query_end if None in ends else next_midnight(max(ends) + EDGE)
    return Window(start - EDGE, min(end, window.end), end)


def _evidence(window: Window, jobs: pa.Table, known: Mapping[str, str | None]) -> Evidence:
    contained = certainly_within(jobs, pa.scalar(window.query_start, TIME), pa.scalar(window.query_end, TIME))
    ids = set(jobs["id"].to_pylist())
    return Evidence(window, contained, {job_id: label for job_id, label in known.items() if label and job_id in ids})
