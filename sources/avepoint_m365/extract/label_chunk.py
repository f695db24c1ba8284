"""Fill the labels of the jobs of a chunk: location, object type and job type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.bulk import Bulk
from avepoint_m365.extract.chunk import Chunk
from avepoint_m365.extract.chunk_classifier import ChunkClassifier, dimensions
from avepoint_m365.extract.chunk_labels import ChunkLabels, ids_without_labels, known_labels
from avepoint_m365.extract.classify import OBJECT_TYPES, Dimension
from avepoint_m365.extract.deduplicate import deduplicate_latest, filter_ids
from avepoint_m365.extract.known import Comparison, KnownJob, compare
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.scan import Scan
from avepoint_m365.state import is_due


@dataclass
class LabelledJobs:
    """Hold the jobs of a chunk, their comparison with the warehouse, and their labels."""

    jobs: pa.Table
    comparison: Comparison
    labels: ChunkLabels


def label_chunk(
    chunk: Chunk, scan: Scan, jobs: pa.Table, known: dict[str, KnownJob], typed: Sequence[Listing] = ()
) -> LabelledJobs:
    """Return the jobs of a chunk with their labels, and the jobs that only a listing for labels returned.

    Args:
        chunk: The context; its scanner learns that this server needs requests for each location.
        scan: The scan of the window.
        jobs: All jobs that were read, those outside the scan included (``FRAME``).
        known: Those of them that the warehouse holds.
        typed: Listings outside the scan that name an object type.
    """
    return _Labeller(chunk, scan, jobs, known).label(typed)


class _Labeller:
    """Fill the labels of the jobs of a chunk, from listings of values of each dimension."""

    def __init__(self, chunk: Chunk, scan: Scan, jobs: pa.Table, known: dict[str, KnownJob]) -> None:
        self._chunk, self._scan = chunk, scan
        self._jobs, self._comparison = jobs, compare(jobs, known, chunk.options.until)
        self._labels = ChunkLabels(known_labels(known), included=set(chunk.behavior.included))
        self._ignored = () if is_due(chunk.behavior.filters_at, chunk.options.until) else chunk.behavior.ignored
        self._classifier = ChunkClassifier(chunk.reader, chunk.limits, self._ignored, self._labels)

    def label(self, typed: Sequence[Listing]) -> LabelledJobs:
        """Return the jobs with their labels; ``typed`` as for ``label_chunk``."""
        options, window = self._chunk.options, self._scan.window
        selected = self._use_bulk(self._scan.bulk) if self._scan.bulk is not None else dimensions(options)
        if self._scan.bulk is None and not options.loads_all_types:
            self._labels.label_object_types([*self._scan.listings, *typed])
        # In order: a set of 100,000 ids is read in twice the time of a list.
        retried = self._comparison.known if _retries_labels(self._chunk) else ()
        ids = dict.fromkeys([*self._comparison.new, *retried])
        locations = [dimension for dimension in selected if dimension.name == "location"]
        # In a first load each location is listed over the whole window: it may return jobs that the scan lacks.
        self._classifier.classify(self._jobs, window, ids.keys(), locations, whole_window=self._chunk.lookup is None)
        added_ids = self._add_jobs_missing_from_scan()
        types = dimensions(options) if added_ids else selected
        types = [dimension for dimension in types if dimension.name != "location"]
        listings_before = len(self._labels.listings)
        ids |= dict.fromkeys(added_ids)
        self._classifier.classify(self._jobs, window, ids.keys(), types, self._chunk.scanner.by_location)
        if len(self._labels.listings) > listings_before:
            self._add_jobs_missing_from_scan()
        self._labels.ignored |= set(self._ignored)
        self._reject_doubtful_listings()
        return LabelledJobs(self._jobs, self._comparison, self._labels)

    def _use_bulk(self, bulk: Bulk) -> list[Dimension]:
        """Fill the labels that a bulk read found; return the dimensions in which it may lack jobs.

        A listing of several pages may lack jobs, which shorter ranges return. An empty one may come from a failing
        server. Other listings of one page lack nothing.
        """
        self._labels.add_bulk(bulk)
        return [
            dimension
            for dimension in dimensions(self._chunk.options)
            if any(
                len(listing.pages) > 1 or not listing.ids for listing in bulk.classifications[dimension.name].listings
            )
        ]

    def _add_jobs_missing_from_scan(self) -> set[str]:
        """Add jobs that listings for labels returned and the scan did not; return their ids.

        Without a location some servers return the jobs of the central location alone. Jobs may also be newer than the
        scan.
        """
        chunk, comparison = self._chunk, self._comparison
        scanned_ids = comparison.ids
        further = [listing for listing in self._labels.listings if not listing.ids <= scanned_ids]
        if not chunk.options.loads_all_types:
            # A listing of a job type holds the jobs of all services.
            further = [listing for listing in further if listing.selection.job_type is None]
        if not further:
            return set()
        others = deduplicate_latest(further)
        others = others.filter(pc.invert(pc.is_in(others["id"], pa.array(list(scanned_ids), pa.string()))))
        ids = set(others["id"].to_pylist())
        if not chunk.options.loads_all_types:
            types = OBJECT_TYPES._replace(values=chunk.options.object_types)
            self._classifier.classify(others, self._scan.window, ids, [types], by_location=True)
            ids &= self._labels.labels["object_type"].keys()
            others = filter_ids(others, sorted(ids))
        known = chunk.known_jobs(ids)
        comparison.add(compare(others, known, chunk.options.until))
        for name, label_by_id in known_labels(known).items():
            self._labels.labels[name] |= label_by_id
        if any(listing.selection.location is not None for listing in further):
            chunk.scanner.by_location = True
        self._jobs = pa.concat_tables([self._jobs, others])
        return ids

    def _reject_doubtful_listings(self) -> None:
        """Mark listings as incomplete that may lack a job, if a job has no label in their dimension."""
        if not any(listing.surplus or listing.has_no_list for listing in self._labels.listings):
            return
        names = [dimension.name for dimension in dimensions(self._chunk.options)]
        for name in ids_without_labels(self._comparison.ids, self._labels.labels, names):
            _reject_surplus_totals(self._labels, name)
            if not self._chunk.state.scan.retry_labels:
                _reject_missing_lists(self._labels, name)


def _reject_missing_lists(chunk_labels: ChunkLabels, dimension: str) -> None:
    """Mark listings without a list of jobs (204 or null) as incomplete; called if a job has no label in a dimension.

    The next load then reads the range again. If the job has no label afterwards, its type is not in the lists.
    """
    for listing in chunk_labels.listings:
        names_dimension = getattr(listing.selection, dimension) is not None
        if names_dimension and listing.detail is None and not listing.ids and listing.has_no_list:
            listing.complete, listing.error_kind = False, "bad_response"
            listing.detail = "No list: the API sent 204 or null, although jobs without this label exist."


def _reject_surplus_totals(chunk_labels: ChunkLabels, dimension: str) -> None:
    """Mark listings with a surplus as incomplete; called if a job has no label in a dimension.

    Some servers count one job too many in each listing, so a surplus of one is accepted elsewhere. If another listing
    of the dimension has no surplus, the job without a label may be the missing one.
    """
    listings = [
        listing
        for listing in chunk_labels.listings
        if getattr(listing.selection, dimension) is not None and listing.ids
    ]
    if any(not listing.surplus for listing in listings):
        for listing in listings:
            listing.complete &= not listing.surplus


def _retries_labels(chunk: Chunk) -> bool:
    """Return whether jobs that the warehouse holds without a label are classified again.

    The load after the one that left them does so, and then one load a day.
    """
    scan = chunk.state.scan
    return (
        chunk.is_range
        or scan.cursor is None
        or scan.retry_labels
        or is_due(chunk.behavior.filters_at, chunk.options.until)
    )
