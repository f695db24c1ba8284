"""Classify the jobs of a chunk that have no label, each in the shortest window that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa

from avepoint_m365.extract.chunk_labels import ChunkLabels, ids_without_labels
from avepoint_m365.extract.classify import (
    JOB_TYPES,
    OBJECT_TYPES,
    Dimension,
    DimensionClassifier,
    Evidence,
    location_dimension,
)
from avepoint_m365.extract.deduplicate import certainly_within, filter_ids
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.options import ExtractOptions, next_midnight
from avepoint_m365.extract.window import EDGE, Window
from avepoint_m365.parse.frame import TIME


def dimensions(options: ExtractOptions) -> list[Dimension]:
    """Return the dimensions in which jobs are classified; object types only if one listing holds all of them."""
    selected = [OBJECT_TYPES] if options.loads_all_types else []
    if options.split_job_types:
        selected.append(JOB_TYPES)
    if options.locations:
        selected.append(location_dimension(options.locations))
    return selected


class ChunkClassifier:
    """Find the jobs of a scan without a label, and classify them in all dimensions; fills ``ChunkLabels``."""

    def __init__(
        self, reader: ListingReader, limits: RangeLimits, ignored: Iterable[str], chunk_labels: ChunkLabels
    ) -> None:
        self._limits, self._labels = limits, chunk_labels
        self._classifier = DimensionClassifier(reader, limits, ignored)

    def classify(
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
        for dimension in selected_dimensions:
            unlabelled = ids_without_labels(wanted_ids, self._labels.labels, [dimension.name])
            missing = set(unlabelled.get(dimension.name, ()))
            scanned = _Scanned(jobs, window, _times(jobs, missing))
            groups = _by_location(missing, self._labels) if by_location else {None: missing}
            for location, group in groups.items():
                at_location = dimension._replace(location=location)
                for cluster in scanned.clusters(group, self._limits.longest):
                    query_window = window if whole_window else scanned.shortest_window(cluster)
                    unread = self._read_labels(at_location, cluster, scanned, query_window)
                    if len(cluster) > 1:
                        self._classify_halves(at_location, unread, scanned)

    def _classify_halves(self, dimension: Dimension, missing: set[str], scanned: _Scanned) -> None:
        """Classify the earlier and the later half of some jobs, and halves of these while a job gets a label.

        If neither half labels a job, their type is in no list. All further halves would be requested in vain.
        """
        halves = [half for half in scanned.halves(missing) if half]
        unread = [self._read_labels(dimension, half, scanned, scanned.shortest_window(half)) for half in halves]
        if missing.isdisjoint(self._labels.labels[dimension.name]):
            return
        for half, rest in zip(halves, unread, strict=True):
            if len(half) > 1:
                self._classify_halves(dimension, rest, scanned)

    def _read_labels(
        self, dimension: Dimension, missing: set[str], scanned: _Scanned, query_window: Window
    ) -> set[str]:
        """Fill labels from the listings of a range; return the jobs that shorter ranges may label.

        Some servers end a list of several pages early and report it as complete. Shorter ranges return its jobs.
        """
        longest, window = self._limits.longest, scanned.window
        wide_window = window if longest is None or window.length <= longest else query_window
        known = self._labels.labels[dimension.name]
        narrow = scanned.evidence(query_window, known, self._labels.included)
        wide = narrow._replace(window=wide_window, contained=scanned.contained(wide_window))
        classification = self._classifier.classify(dimension, missing, narrow, wide)
        self._labels.add(dimension.name, classification)
        has_effect = not {dimension.key(value) for value in dimension.values} <= classification.ignored
        if not has_effect or all(len(listing.pages) < 2 for listing in classification.listings):
            return set()
        return missing - classification.by_id.keys()


class _Scanned(NamedTuple):
    """Hold the jobs of a scan (``FRAME``), its window, and by id start and finish of those to classify (UTC)."""

    jobs: pa.Table
    window: Window
    times: Mapping[str, Mapping[str, Any]]

    def clusters(self, ids: set[str], longest: timedelta | None) -> list[set[str]]:
        """Return jobs in groups, each within a range that the server answers in full; ``longest`` is its limit."""
        if not ids:
            return []
        if longest is None or self.window.length <= longest:
            return [ids]
        clusters: list[set[str]] = []
        first: datetime | None = None
        for job_id in sorted(ids, key=self._start):
            end = self.times[job_id]["finish_time"] or self.window.end
            if first is None or end - first > longest - 2 * timedelta(days=1):
                clusters.append(set())
                first = self._start(job_id)
            clusters[-1].add(job_id)
        return clusters

    def halves(self, ids: AbstractSet[str]) -> tuple[set[str], set[str]]:
        """Return the jobs that started earlier, and those that started later."""
        ordered = sorted(ids, key=lambda job_id: (self._start(job_id), job_id))
        middle = len(ordered) // 2
        return set(ordered[:middle]), set(ordered[middle:])

    def shortest_window(self, ids: AbstractSet[str]) -> Window:
        """Return the shortest range that holds all of some jobs, whichever of their times the API compares with it.

        It ends at a midnight (UTC), since the API may compare days instead of times.
        """
        starts, ends = [self._start(job_id) for job_id in ids], [self.times[job_id]["finish_time"] for job_id in ids]
        # The API may report a finish before the start.
        start = min([*starts, *filter(None, ends)])
        end = self.window.query_end if None in ends else next_midnight(max([*starts, *ends]) + EDGE)
        return Window(start - EDGE, min(end, self.window.end), end)

    def evidence(self, window: Window, known: Mapping[str, str], included: AbstractSet[str]) -> Evidence:
        """Return what is known about the jobs of a range before its labels are read."""
        ids = set(self.jobs["id"].to_pylist())
        labels = {job_id: label for job_id, label in known.items() if job_id in ids}
        return Evidence(window, self.contained(window), labels, ids, included)

    def contained(self, window: Window) -> set[str]:
        """Return the ids of the jobs that lie within a range, by whichever of their times."""
        return certainly_within(self.jobs, pa.scalar(window.query_start, TIME), pa.scalar(window.query_end, TIME))

    def _start(self, job_id: str) -> datetime:
        start: datetime = self.times[job_id]["start_time"] or self.window.query_start
        return start


def _times(jobs: pa.Table, ids: AbstractSet[str]) -> dict[str, Mapping[str, Any]]:
    """Return start and finish of some jobs (UTC) by id. Without ids no job becomes a Python object."""
    if not ids:
        return {}
    return {job["id"]: job for job in filter_ids(jobs.select(["id", "start_time", "finish_time"]), ids).to_pylist()}


def _by_location(ids: Iterable[str], chunk_labels: ChunkLabels) -> dict[str | None, set[str]]:
    groups: dict[str | None, set[str]] = {}
    for job_id in ids:
        groups.setdefault(chunk_labels.labels["location"].get(job_id), set()).add(job_id)
    return groups
