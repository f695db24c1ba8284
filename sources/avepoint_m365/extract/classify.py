"""Classify jobs: learn their location, object type and job type from the listings that return them.

A job carries none of the three. A wrong label is worse than none: a filter without effect labels nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from avepoint_m365.constants import LOCATIONS, PRIMARY_LOCATION, JobType, ObjectType
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.complete import read_completely
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, ListingReader
from avepoint_m365.extract.window import Selection, Window

FATAL = ("auth", "config", "internal")
"""Kinds of errors that end the load; any other ends one listing."""


FilterValue: TypeAlias = str | ObjectType | JobType
"""A location, an object type or a job type."""


@dataclass(frozen=True)
class Dimension:
    """Describe one of the three labels, and the values that the API can be asked for.

    Attributes:
        name: The column: location, object_type or job_type.
        values: The values in the order of precedence: of two that return a job, the first wins.
        controls: Values that are only asked for to see whether the filter has an effect.
        location: The location that is asked for beside the value; None for all.
    """

    name: str
    values: tuple[FilterValue, ...]
    controls: tuple[FilterValue, ...] = ()
    location: str | None = None

    def select(self, window: Window, value: FilterValue) -> Selection:
        """Return the selection of one value."""
        filters: dict[str, Any] = {self.name: value}
        return replace(Selection(window, location=self.location), **filters)

    def label(self, value: FilterValue) -> str:
        """Return the value as the warehouse holds it."""
        return value if isinstance(value, str) else str(value.name)

    def key(self, value: FilterValue) -> str:
        """Return the name of a value among the ignored filters."""
        return f"{self.name}={self.label(value)}"


def location_dimension(locations: Sequence[str]) -> Dimension:
    """Return the dimension of the configured locations; a named one wins over the primary location, its alias."""
    ordered = sorted(locations, key=lambda location: location == PRIMARY_LOCATION)
    return Dimension(
        "location", tuple(ordered), tuple(location for location in LOCATIONS[1:] if location not in locations)[-1:]
    )


OBJECT_TYPES = Dimension("object_type", tuple(ObjectType))
JOB_TYPES = Dimension("job_type", tuple(JobType))


@dataclass
class Labels:
    """Hold what the listings of one dimension showed.

    Attributes:
        of: Job id to label.
        listings: The listings that were read, failed ones included.
        ignored: Keys of filters that were seen to have no effect.
    """

    of: dict[str, str] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)

    @property
    def failed(self) -> bool:
        """Return whether a listing failed or is incomplete."""
        return any(not listing.complete for listing in self.listings)


@dataclass(frozen=True)
class Evidence:
    """Hold what is known of the jobs in a window beside the listings.

    Attributes:
        window: The window.
        whole: Ids of jobs that lie in the window for certain, whatever the API compares with it.
        known: Labels of the dimension that the warehouse holds, by job id.
    """

    window: Window
    whole: AbstractSet[str] = frozenset()
    known: Mapping[str, str] = field(default_factory=dict)


class Classifier:
    """Ask for the values of a dimension until each job has a label."""

    def __init__(self, reader: ListingReader, limits: RangeLimits, ignored: Iterable[str]) -> None:
        """Keep ``ignored``, the filters that were seen to have no effect; they are not asked for."""
        self._reader, self._limits, self._ignored = reader, limits, set(ignored)

    def classify(self, dimension: Dimension, unknown: AbstractSet[str], evidence: Evidence, wide: Evidence) -> Labels:
        """Return labels for the jobs ``unknown``, which lie in the window of ``evidence``.

        The most frequent values come first, side by side, and no more are asked for once each job has a label. A second
        value is always asked for: it tells a filter that has an effect from one that has none. Where two values return
        the same jobs, both are asked for over the window of ``wide``, where more jobs tell whether they are filtered.
        """
        labels, sets = Labels(), dict[Any, set[str]]()
        values = self._by_frequency(dimension, wide)
        size = max(2, min(len(unknown), self._reader.pool.concurrency))
        while values and not (unknown <= labels.of.keys() and len(sets) > 1):
            batch, values = values[:size], values[size:]
            self._ask(dimension, batch, evidence.window, labels, sets)
            apply_labels(dimension, sets, evidence, labels)
        if unknown - labels.of.keys():
            self._ask_again(dimension, evidence, labels, sets)
        if sets and dimension.controls and all(evidence.whole <= ids for ids in sets.values()):
            self._ask(dimension, list(dimension.controls), evidence.window, labels, sets)
            apply_labels(dimension, sets, evidence, labels)
        if (suspects := _overlapping(sets)) and wide.window != evidence.window:
            wide_sets: dict[Any, set[str]] = {}
            self._ask(dimension, suspects, wide.window, labels, wide_sets)
            apply_labels(dimension, sets, wide, labels, unfiltered(dimension, wide_sets, wide))
        return labels

    def _ask_again(self, dimension: Dimension, evidence: Evidence, labels: Labels, sets: dict[Any, set[str]]) -> None:
        """Ask once more for values that returned nothing: a server in trouble may answer so, and the label is lost."""
        empty = [value for value, ids in sets.items() if not ids]
        selections = [dimension.select(evidence.window, value) for value in empty]
        labels.listings = [listing for listing in labels.listings if listing.ids or listing.selection not in selections]
        self._ask(dimension, empty, evidence.window, labels, sets)
        apply_labels(dimension, sets, evidence, labels)

    def _by_frequency(self, dimension: Dimension, evidence: Evidence) -> list[Any]:
        seen = Counter(evidence.known.values())
        values = [value for value in dimension.values if dimension.key(value) not in self._ignored]
        return sorted(values, key=lambda value: -seen[dimension.label(value)])

    def _ask(
        self, dimension: Dimension, values: Sequence[Any], window: Window, labels: Labels, sets: dict[Any, set[str]]
    ) -> None:
        reads = [self._read(dimension.select(window, value)) for value in values]
        for value, listings in zip(values, self._reader.pool.side_by_side(reads), strict=True):
            labels.listings += listings
            if all(listing.endpoint for listing in listings):
                sets[value] = set().union(*(listing.ids for listing in listings))

    def _read(self, selection: Selection) -> Callable[[], list[Listing]]:
        return lambda: read_or_fail(self._reader, selection, self._limits)


def read_or_fail(reader: ListingReader, selection: Selection, limits: RangeLimits) -> list[Listing]:
    """Return the listings of a selection; one that cannot be read is returned as failed.

    Raises:
        SourceError: if no further request can succeed either (credentials, configuration, interruption).
    """
    try:
        return read_completely(reader, selection, limits)
    except SourceError as error:
        if error.kind in FATAL:
            raise
        failed = Listing(selection)
        failed.requests = 1
        failed.fail(error)
        return [failed]


def apply_labels(
    dimension: Dimension,
    sets: Mapping[FilterValue, set[str]],
    evidence: Evidence,
    labels: Labels,
    without_effect: AbstractSet[FilterValue] = frozenset(),
) -> None:
    """Set the labels by all sets read so far, less those of filters without effect."""
    without_effect = unfiltered(dimension, sets, evidence) | without_effect
    labels.ignored = {dimension.key(value) for value in without_effect}
    labels.of = {}
    for value in reversed(dimension.values):
        if value in sets and value not in without_effect:
            labels.of |= dict.fromkeys(sets[value], dimension.label(value))


def unfiltered(dimension: Dimension, sets: Mapping[FilterValue, set[str]], evidence: Evidence) -> set[FilterValue]:
    """Return the values whose filter had no effect.

    A value was not filtered if its listing holds what several others, disjoint among themselves, hold together. The
    same is true if it holds the whole window and another value some of it. None was filtered if all that were asked
    for, two at least, hold the whole window. The primary location is an alias: it may hold the jobs of the location
    that it stands for.
    """
    filled = {value: ids for value, ids in sets.items() if ids}
    by_label: dict[str, set[str]] = {}
    for job_id, label in evidence.known.items():
        by_label.setdefault(label, set()).add(job_id)
    without_effect = set()
    for value, ids in filled.items():
        others = [other for key, other in filled.items() if key != value and other != ids]
        others += [
            labelled & ids for label, labelled in by_label.items() if label != dimension.label(value) and labelled & ids
        ]
        holds_all = bool(evidence.whole) and evidence.whole <= ids and value != PRIMARY_LOCATION
        if _holds_several(ids, others) or (holds_all and any(other < ids for other in others)):
            without_effect.add(value)
    named = {value: ids for value, ids in sets.items() if value != PRIMARY_LOCATION}
    all_of_it = {value for value, ids in named.items() if evidence.whole and evidence.whole <= ids}
    if len(all_of_it) > 1 and (len(all_of_it) == len(named) or len(all_of_it) > 2):
        without_effect |= set(filled)
    return without_effect


def _overlapping(sets: Mapping[FilterValue, set[str]]) -> list[Any]:
    """Return the values that return jobs which another value returns as well, except the alias of a location."""
    counts = Counter(job_id for value, ids in sets.items() if value != PRIMARY_LOCATION for job_id in ids)
    shared = {job_id for job_id, count in counts.items() if count > 1}
    return [value for value, ids in sets.items() if value != PRIMARY_LOCATION and shared & ids]


def _holds_several(ids: AbstractSet[str], others: Sequence[AbstractSet[str]]) -> bool:
    """Return whether a set holds at least two sets that share nothing."""
    contained = [other for other in others if other <= ids]
    for index, first in enumerate(contained):
        if any(first.isdisjoint(second) for second in contained[index + 1 :]):
            return True
    return False
