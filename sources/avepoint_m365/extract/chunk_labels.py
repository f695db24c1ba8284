"""Hold the labels of the jobs of a chunk: location, object type and job type."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avepoint_m365.constants import LABELS
from avepoint_m365.extract.bulk import Bulk
from avepoint_m365.extract.classify import OBJECT_TYPES, Classification
from avepoint_m365.extract.known import KnownJob
from avepoint_m365.extract.labels import Labels, no_labels
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.precedence import included_values, shared_ids


@dataclass
class ChunkLabels:
    """Hold the labels of the jobs of one chunk.

    Attributes:
        labels: Those of the warehouse, and where one is missing that of a listing.
        listings: The listings that classified jobs.
        ignored: Keys of filters without effect (``Dimension.key``).
        shared: Ids of jobs that several values of a dimension returned, by dimension.
        included: Keys of values that are known to be included in others.
    """

    labels: Labels = field(default_factory=no_labels)
    listings: list[Listing] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    shared: dict[str, set[str]] = field(default_factory=dict)
    included: set[str] = field(default_factory=set)

    def add(self, dimension: str, classification: Classification) -> None:
        """Fill the labels that are missing in one dimension."""
        self.listings += classification.listings
        self.ignored |= classification.ignored
        self.included |= classification.included
        self._add_shared(dimension, classification.shared)
        self.fill(dimension, classification.by_id)

    def _add_shared(self, dimension: str, ids: Collection[str]) -> None:
        if ids:
            self.shared.setdefault(dimension, set()).update(ids)

    def fill(self, dimension: str, label_by_id: Mapping[str, str]) -> None:
        """Give each job that has no label in a dimension that of ``label_by_id``."""
        self.labels[dimension] = {**label_by_id, **self.labels[dimension]}

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
        self._add_shared("object_type", shared_ids(ids_by_type))
        self.included |= {OBJECT_TYPES.key(value) for value in included_values(ids_by_type)}
        for value in OBJECT_TYPES.precedence(ids_by_type, self.included):
            self.fill("object_type", dict.fromkeys(ids_by_type.get(value, ()), OBJECT_TYPES.label(value)))


def known_labels(known: Mapping[str, KnownJob]) -> Labels:
    """Return the labels that the warehouse holds."""
    return {
        name: {job.id: label for job in known.values() if (label := getattr(job, name)) is not None} for name in LABELS
    }


def ids_without_labels(ids: Collection[str], labels: Labels, dimension_names: Iterable[str]) -> dict[str, list[str]]:
    """Return the ids of jobs that have no label in a dimension, in their order, for each dimension with such jobs."""
    unlabelled: dict[str, list[str]] = {}
    for name in dimension_names:
        labelled = labels[name]
        # For 100,000 jobs that all have a label, this is five times as fast as the list alone.
        if not all(map(labelled.__contains__, ids)):
            unlabelled[name] = [job_id for job_id in ids if job_id not in labelled]
    return unlabelled
