"""Hold the labels of the jobs of a chunk: location, object type and job type."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from avepoint_m365.extract.bulk import Bulk
from avepoint_m365.extract.classify import OBJECT_TYPES, Classification
from avepoint_m365.extract.known import KnownJob
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.options import NO_LABELS, JobLabels


@dataclass
class ChunkLabels:
    """Hold the labels of the jobs of one chunk.

    Attributes:
        by_id: Labels by job id: those of the warehouse, and where one is missing that of a listing.
        listings: The listings that classified jobs.
        ignored: Keys of filters without effect (``Dimension.key``).
    """

    by_id: dict[str, JobLabels] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)

    def add(self, dimension: str, classification: Classification) -> None:
        """Fill the labels that are missing in one dimension."""
        self.listings += classification.listings
        self.ignored |= classification.ignored
        for job_id, label in classification.by_id.items():
            known = self.by_id.get(job_id, NO_LABELS)
            self.by_id[job_id] = _filled(known, dimension, label)

    def add_bulk(self, bulk: Bulk) -> None:
        """Fill the labels that a bulk read found."""
        for dimension, classification in bulk.classifications.items():
            self.add(dimension, classification)

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
            self.add("object_type", Classification(dict.fromkeys(ids_by_type[value], value.name)))


@cache
def _filled(labels: JobLabels, dimension: str, label: str) -> JobLabels:
    """Return labels with that of one dimension if it is missing. The cache holds the few combinations of all jobs."""
    return labels if getattr(labels, dimension) is not None else labels._replace(**{dimension: label})


def known_labels(known: Mapping[str, KnownJob]) -> dict[str, JobLabels]:
    """Return the labels that the warehouse holds, by job id."""
    return {job.id: JobLabels(job.location, job.object_type, job.job_type) for job in known.values()}


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
