"""Classify jobs: learn their location, object type and job type from the filters of the listings that return them.

No field of a job contains them. A wrong label is worse than none, so a filter without effect labels nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from avepoint_m365.constants import LOCATIONS, PRIMARY_LOCATION, JobType, ObjectType
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.complete import read_completely
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.precedence import included_values, narrowest_first, shared_ids
from avepoint_m365.extract.window import Selection, Window

FilterValue: TypeAlias = str | ObjectType | JobType
"""A location, an object type or a job type."""


class Dimension(NamedTuple):
    """Describe one of the three labels, and the values that its filter accepts.

    Attributes:
        name: The column: location, object_type or job_type.
        values: The values by precedence: if two of them return a job, the first one labels it.
        controls: Values of other tenants, which return jobs only if the filter has no effect.
        location: The location of each request; None for all.
    """

    name: str
    values: tuple[FilterValue, ...]
    controls: tuple[FilterValue, ...] = ()
    location: str | None = None

    def select(self, window: Window, value: FilterValue) -> Selection:
        """Return the selection of one value."""
        filters: dict[str, Any] = {self.name: value}
        return Selection(window, location=self.location)._replace(**filters)

    def label(self, value: FilterValue) -> str:
        """Return the value as the warehouse stores it."""
        return value if isinstance(value, str) else str(value.name)

    def key(self, value: FilterValue) -> str:
        """Return the key of a value in ``ignored``, such as ``object_type=teams``."""
        return f"{self.name}={self.label(value)}"

    def precedence(
        self, ids_by_value: Mapping[FilterValue, AbstractSet[str]], included: AbstractSet[str]
    ) -> list[FilterValue]:
        """Return the values by precedence (``narrowest_first``); ``included`` are keys."""
        return narrowest_first(
            self.values, ids_by_value, [value for value in self.values if self.key(value) in included]
        )


def location_dimension(locations: Sequence[str]) -> Dimension:
    """Return the dimension of the configured locations; the primary location comes last, since it is an alias."""
    by_precedence = sorted(locations, key=lambda location: location == PRIMARY_LOCATION)
    unconfigured = [location for location in LOCATIONS[1:] if location not in locations]
    return Dimension("location", tuple(by_precedence), tuple(unconfigured[-1:]))


OBJECT_TYPES = Dimension("object_type", tuple(ObjectType))
JOB_TYPES = Dimension("job_type", tuple(JobType))


@dataclass
class Classification:
    """Hold the labels of one dimension, and the listings that they come from.

    Attributes:
        by_id: Labels by job id.
        listings: The listings that were read, failed ones included.
        ignored: Keys of filters without effect (``Dimension.key``).
        shared: Ids of jobs that several values returned.
        included: Keys of values whose jobs another value returns as well.
    """

    by_id: dict[str, str] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    included: set[str] = field(default_factory=set)

    @property
    def failed(self) -> bool:
        """Return whether a listing failed or is incomplete."""
        return any(not listing.complete for listing in self.listings)


class Evidence(NamedTuple):
    """Hold what is known about the jobs in a window, apart from listings with filters.

    Attributes:
        window: The window.
        contained: Ids of jobs that a listing of the window without filters certainly contains.
        known: Labels of the dimension that the warehouse holds, by job id.
        scanned_ids: Ids of the jobs whose rows another listing holds.
        included: Keys of values that are known to be included in others.
    """

    window: Window
    contained: AbstractSet[str] = frozenset()
    known: Mapping[str, str] = MappingProxyType({})
    scanned_ids: AbstractSet[str] = frozenset()
    included: AbstractSet[str] = frozenset()

    def without_scanned_jobs(self, listings: list[Listing]) -> list[Listing]:
        """Return listings after each whose jobs are all scanned has dropped them: its ids are the labels."""
        for listing in listings:
            if listing.ids <= self.scanned_ids:
                listing.drop_jobs()
        return listings


class DimensionClassifier:
    """Read the listings of a dimension's values until each job has a label."""

    def __init__(self, reader: ListingReader, limits: RangeLimits, ignored: Iterable[str]) -> None:
        """Keep ``ignored``, the keys of filters without effect; no listing is read for them."""
        self._reader, self._limits, self._ignored = reader, limits, set(ignored)

    def classify(
        self, dimension: Dimension, unknown: AbstractSet[str], evidence: Evidence, wide_evidence: Evidence
    ) -> Classification:
        """Return labels for the jobs ``unknown``, which lie in the window of ``evidence``.

        The most frequent values come first, in parallel, until each job has a label. At least two values are read: one
        alone cannot show whether its filter has an effect. If two values return the same job, both are read over the
        window of ``wide_evidence``, whose further jobs show which of them is filtered.
        """
        classification, ids_by_value = Classification(), dict[Any, set[str]]()
        values = self._by_frequency(dimension, wide_evidence)
        size = max(2, min(len(unknown), self._reader.pool.concurrency))
        while values and not (unknown <= classification.by_id.keys() and len(ids_by_value) > 1):
            batch, values = values[:size], values[size:]
            self._read_values(dimension, batch, evidence, classification, ids_by_value)
            apply_labels(dimension, ids_by_value, evidence, classification)
        if unknown - classification.by_id.keys():
            self._retry_empty_values(dimension, evidence, classification, ids_by_value)
        if ids_by_value and dimension.controls and all(evidence.contained <= ids for ids in ids_by_value.values()):
            self._read_values(dimension, list(dimension.controls), evidence, classification, ids_by_value)
            apply_labels(dimension, ids_by_value, evidence, classification)
        if (suspects := _overlapping(ids_by_value)) and wide_evidence.window != evidence.window:
            wide_ids_by_value: dict[Any, set[str]] = {}
            self._read_values(dimension, suspects, wide_evidence, classification, wide_ids_by_value)
            ineffective = ineffective_values(dimension, wide_ids_by_value, wide_evidence)
            precedence = dimension.precedence(wide_ids_by_value, evidence.included)
            apply_labels(dimension, ids_by_value, wide_evidence, classification, ineffective, precedence)
        return classification

    def _retry_empty_values(
        self,
        dimension: Dimension,
        evidence: Evidence,
        classification: Classification,
        ids_by_value: dict[Any, set[str]],
    ) -> None:
        """Read values without jobs once more: a failing server may return an empty list, and a label would be lost."""
        empty = [value for value, ids in ids_by_value.items() if not ids]
        selections = [dimension.select(evidence.window, value) for value in empty]
        classification.listings = [
            listing for listing in classification.listings if listing.ids or listing.selection not in selections
        ]
        self._read_values(dimension, empty, evidence, classification, ids_by_value)
        apply_labels(dimension, ids_by_value, evidence, classification)

    def _by_frequency(self, dimension: Dimension, evidence: Evidence) -> list[Any]:
        """Return the values whose filter is not ignored, those with most known jobs first.

        A value that another one includes precedes them: the other one alone would label its jobs.
        """
        job_counts = Counter(evidence.known.values())
        values = [value for value in dimension.values if dimension.key(value) not in self._ignored]
        return sorted(
            values,
            key=lambda value: (dimension.key(value) not in evidence.included, -job_counts[dimension.label(value)]),
        )

    def _read_values(
        self,
        dimension: Dimension,
        values: Sequence[Any],
        evidence: Evidence,
        classification: Classification,
        ids_by_value: dict[Any, set[str]],
    ) -> None:
        reads = [self._read(dimension.select(evidence.window, value), evidence) for value in values]
        for value, listings in zip(values, self._reader.pool.run_parallel(reads), strict=True):
            classification.listings += listings
            if all(listing.endpoint for listing in listings):
                ids_by_value[value] = set().union(*(listing.ids for listing in listings))

    def _read(self, selection: Selection, evidence: Evidence) -> Callable[[], list[Listing]]:
        return lambda: evidence.without_scanned_jobs(read_or_fail(self._reader, selection, self._limits))


def read_or_fail(reader: ListingReader, selection: Selection, limits: RangeLimits) -> list[Listing]:
    """Return the listings of a selection; if they cannot be read, one that records the failure.

    Raises:
        SourceError: if no further request can succeed (``ends_load``).
    """
    try:
        return read_completely(reader, selection, limits)
    except SourceError as error:
        if error.ends_load:
            raise
        failed = Listing(selection)
        failed.requests = 1
        failed.fail(error)
        return [failed]


def apply_labels(
    dimension: Dimension,
    ids_by_value: Mapping[FilterValue, set[str]],
    evidence: Evidence,
    classification: Classification,
    ineffective: AbstractSet[FilterValue] = frozenset(),
    precedence: Sequence[FilterValue] = (),
) -> None:
    """Set the labels of the jobs that each value returned; values whose filter has no effect label nothing.

    If several values returned a job, the first of ``precedence`` labels it; by default the narrowest value.
    """
    ineffective = ineffective_values(dimension, ids_by_value, evidence) | ineffective
    classification.ignored = {dimension.key(value) for value in ineffective}
    classification.by_id = {}
    for value in reversed(precedence or dimension.precedence(ids_by_value, evidence.included)):
        if value in ids_by_value and value not in ineffective:
            classification.by_id |= dict.fromkeys(ids_by_value[value], dimension.label(value))
    effective = {value: ids for value, ids in ids_by_value.items() if value not in ineffective}
    classification.shared = shared_ids(effective)
    classification.included |= {dimension.key(value) for value in included_values(effective)}


def ineffective_values(
    dimension: Dimension, ids_by_value: Mapping[FilterValue, set[str]], evidence: Evidence
) -> set[FilterValue]:
    """Return the values whose filter had no effect, as one of three observations shows.

    1. The value's listing holds all jobs of at least two other values that have no job in common.
    2. It holds all jobs of the window, and another value holds some of them.
    3. All values, two at least, hold all jobs of the window; then no filter had an effect.

    The primary location is an alias: it may hold all jobs of the location that it stands for.
    """
    filled = {value: ids for value, ids in ids_by_value.items() if ids}
    by_label: dict[str, set[str]] = {}
    for job_id, label in evidence.known.items():
        by_label.setdefault(label, set()).add(job_id)
    ineffective = set()
    for value, ids in filled.items():
        others = [(dimension.label(key), other) for key, other in filled.items()]
        others += [
            (label, labelled & ids)
            for label, labelled in by_label.items()
            if label != dimension.label(value) and labelled & ids
        ]
        holds_all = bool(evidence.contained) and evidence.contained <= ids and value != PRIMARY_LOCATION
        if _holds_several(ids, others) or (holds_all and any(other < ids for _, other in others)):
            ineffective.add(value)
    named = {value: ids for value, ids in ids_by_value.items() if value != PRIMARY_LOCATION}
    holding_all = {value for value, ids in named.items() if evidence.contained and evidence.contained <= ids}
    if len(holding_all) > 1 and (len(holding_all) == len(named) or len(holding_all) > 2):
        return set(filled)
    return ineffective


def _overlapping(ids_by_value: Mapping[FilterValue, set[str]]) -> list[Any]:
    """Return the values that share a job with another value, without the primary location, which is an alias."""
    shared = shared_ids(ids_by_value)
    return [value for value, ids in ids_by_value.items() if value != PRIMARY_LOCATION and shared & ids]


def _holds_several(ids: AbstractSet[str], others: Sequence[tuple[str, AbstractSet[str]]]) -> bool:
    """Return whether a set contains at least two sets of different labels that have nothing in common."""
    contained = [(label, other) for label, other in others if other <= ids]
    return any(
        label != another and first.isdisjoint(second)
        for (label, first), (another, second) in combinations(contained, 2)
    )
