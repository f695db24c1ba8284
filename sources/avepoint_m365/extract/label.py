"""Find the jobs of a look that need a label, and the narrow windows in which they are classified."""

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
    Evidence,
    Labels,
    location_dimension,
)
from avepoint_m365.extract.deduplicate import certainly_within, filter_ids
from avepoint_m365.extract.known import KnownJob
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, ListingReader
from avepoint_m365.extract.options import NO_LABELS, ExtractOptions, JobLabels, next_midnight
from avepoint_m365.extract.window import EDGE, Window
from avepoint_m365.parse.frame import TIME


@cache
def _filled(labels: JobLabels, dimension: str, label: str) -> JobLabels:
    """Return labels with one filled that is missing. Few combinations serve all jobs."""
    return labels if getattr(labels, dimension) is not None else labels._replace(**{dimension: label})


def without_labels(
    ids: Collection[str], of: Mapping[str, JobLabels], dimension_names: Iterable[str]
) -> dict[str, list[str]]:
    """Return the ids of jobs that have no label in a dimension, in their order, for each dimension with such jobs.

    Few combinations of labels serve all jobs. Each is looked at once, and jobs only if some combination lacks a label:
    for 100,000 jobs a tenth of the time.
    """
    combinations, all_known = set(of.values()), all(map(of.__contains__, ids))
    unlabelled: dict[str, list[str]] = {}
    for name in dimension_names:
        incomplete = {labels for labels in combinations if getattr(labels, name) is None}
        if incomplete or not all_known:
            incomplete.add(NO_LABELS)
            if missing := [job_id for job_id in ids if of.get(job_id, NO_LABELS) in incomplete]:
                unlabelled[name] = missing
    return unlabelled


@dataclass
class Labelling:
    """Hold the labels of the jobs of one load.

    Attributes:
        of: Labels by job id: those that the warehouse knows, filled with what the listings told.
        listings: The listings that told it.
        ignored: Filters that were seen to have no effect.
    """

    of: dict[str, JobLabels] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)

    def add(self, dimension: str, labels: Labels) -> None:
        """Fill the labels that are missing in one dimension."""
        self.listings += labels.listings
        self.ignored |= labels.ignored
        for job_id, label in labels.of.items():
            known = self.of.get(job_id, NO_LABELS)
            self.of[job_id] = _filled(known, dimension, label)

    def label_by_looks(self, looks: Iterable[Listing]) -> None:
        """Fill object types by the listings that were looked at one by one, unless all hold the same jobs."""
        sets: dict[Any, set[str]] = {}
        for listing in looks:
            sets.setdefault(listing.selection.object_type, set()).update(listing.ids)
        filled = [ids for ids in sets.values() if ids]
        if len(filled) > 1 and all(ids == filled[0] for ids in filled):
            self.ignored |= {OBJECT_TYPES.key(value) for value in sets}
            return
        for value in sorted(sets):
            labels = Labels(dict.fromkeys(sets[value], value.name))
            self.add("object_type", labels)


def known_labels(known: Mapping[str, KnownJob]) -> dict[str, JobLabels]:
    """Return the labels that the warehouse holds, by job id."""
    return {job.id: JobLabels(job.location, job.object_type, job.job_type) for job in known.values()}


def dimensions(options: ExtractOptions) -> list[Dimension]:
    """Return what each job is to be asked for."""
    wanted = [OBJECT_TYPES] if options.loads_all_types else []
    if options.split_job_types:
        wanted.append(JOB_TYPES)
    if options.locations:
        wanted.append(location_dimension(options.locations))
    return wanted


def add_bulk(labelling: Labelling, bulk: Bulk) -> None:
    """Add the labels that reading a range in bulk showed."""
    for name, labels in bulk.labels.items():
        labelling.add(name, labels)


class Labeller:
    """Classify the jobs of a look that have no label yet."""

    def __init__(
        self, reader: ListingReader, limits: RangeLimits, ignored: Iterable[str], labelling: Labelling
    ) -> None:
        self._limits, self._labelling = limits, labelling
        self._classifier = Classifier(reader, limits, ignored)

    def label(
        self,
        jobs: pa.Table,
        window: Window,
        wanted: AbstractSet[str],
        asked: Iterable[Dimension],
        by_location: bool = False,
        whole_window: bool = False,
    ) -> None:
        """Fill the labels that jobs of a look miss.

        Args:
            jobs: The jobs of the look (``FRAME``).
            window: The window of the look.
            wanted: Ids of the jobs that are worth requests.
            asked: The dimensions to ask for.
            by_location: Whether the jobs of each location are asked for with their location.
            whole_window: Whether to ask for the whole window, not only for the range that holds the jobs.
        """
        labelling = self._labelling
        for dimension in asked:
            missing = set(without_labels(wanted, labelling.of, [dimension.name]).get(dimension.name, ()))
            times = _times(jobs, missing)
            groups = _by_location(missing, labelling) if by_location else {None: missing}
            for location, group in groups.items():
                for cluster in self._clusters(group, times, window):
                    span = window if whole_window else _narrow(window, [times[job_id] for job_id in cluster])
                    self._classify(replace(dimension, location=location), cluster, jobs, span, window, times)

    def _classify(
        self,
        dimension: Dimension,
        missing: set[str],
        jobs: pa.Table,
        span: Window,
        window: Window,
        times: Mapping[str, Any],
    ) -> None:
        labelling = self._labelling
        known = {job_id: getattr(labels, dimension.name) for job_id, labels in labelling.of.items()}
        wide = window if self._limits.longest is None or window.length <= self._limits.longest else span
        labels = self._classifier.classify(
            dimension, missing, _evidence(span, jobs, known), _evidence(wide, jobs, known)
        )
        labelling.add(dimension.name, labels)
        remaining = missing - labels.of.keys()
        has_effect = not {dimension.key(value) for value in dimension.values} <= labels.ignored
        if remaining and has_effect and len(missing) > 1 and any(len(listing.pages) > 1 for listing in labels.listings):
            # Some servers end a list early and call it complete: shorter ranges show what it left out.
            for half in _halves(remaining, times, window):
                if half and half != missing:
                    narrow = _narrow(window, [times[job_id] for job_id in half])
                    self._classify(dimension, half, jobs, narrow, window, times)

    def _clusters(self, missing: set[str], times: Mapping[str, Any], window: Window) -> list[set[str]]:
        """Return the jobs in groups that fit into one range that the server answers."""
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
    """Return start and finish of some jobs by id. Without ids no job becomes a Python object."""
    if not ids:
        return {}
    return {job["id"]: job for job in filter_ids(jobs.select(["id", "start_time", "finish_time"]), ids).to_pylist()}


def _by_location(ids: Iterable[str], labelling: Labelling) -> dict[str | None, set[str]]:
    groups: dict[str | None, set[str]] = {}
    for job_id in ids:
        groups.setdefault(labelling.of.get(job_id, NO_LABELS).location, set()).add(job_id)
    return groups


def _halves(ids: AbstractSet[str], times: Mapping[str, Any], window: Window) -> tuple[set[str], set[str]]:
    """Return the jobs that started earlier, and those that started later."""
    ordered = sorted(ids, key=lambda job_id: (_start(times[job_id], window), job_id))
    middle = len(ordered) // 2
    return set(ordered[:middle]), set(ordered[middle:])


def _start(job: Mapping[str, Any], window: Window) -> datetime:
    start: datetime = job["start_time"] or window.begin
    return start


def _narrow(window: Window, jobs: list[Mapping[str, Any]]) -> Window:
    """Return the shortest range that holds all of some jobs by any time that the API may compare.

    It ends at a midnight: the API may compare no more than the day.
    """
    ends = [job["finish_time"] for job in jobs]
    # A finish may lie before the start.
    start = min([*(_start(job, window) for job in jobs), *filter(None, ends)])
    end = window.asked_end if None in ends else next_midnight(max(ends) + EDGE)
    return Window(start - EDGE, min(end, window.end), end)


def _evidence(window: Window, jobs: pa.Table, known: Mapping[str, str | None]) -> Evidence:
    whole = certainly_within(jobs, pa.scalar(window.begin, TIME), pa.scalar(window.asked_end, TIME))
    ids = set(jobs["id"].to_pylist())
    return Evidence(window, whole, {job_id: label for job_id, label in known.items() if label and job_id in ids})
