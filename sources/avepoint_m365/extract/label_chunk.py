"""Fill the labels of the jobs of a chunk: location, object type and job type."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.chunk import Chunk
from avepoint_m365.extract.chunk_classifier import ChunkClassifier, dimensions
from avepoint_m365.extract.chunk_labels import ChunkLabels, ids_without_labels, known_labels
from avepoint_m365.extract.classify import OBJECT_TYPES
from avepoint_m365.extract.deduplicate import deduplicate_latest, filter_ids
from avepoint_m365.extract.known import Comparison, compare
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.scan import Scan
from avepoint_m365.state import is_due


def label_chunk(
    chunk: Chunk,
    scan: Scan,
    jobs: pa.Table,
    comparison: Comparison,
    chunk_labels: ChunkLabels,
    typed: Sequence[Listing] = (),
) -> pa.Table:
    """Fill the missing labels of jobs; return all jobs, including those that only a listing for labels returned.

    ``typed`` are listings outside the scan that name an object type.
    """
    ignored = () if is_due(chunk.behavior.filters_at, chunk.options.until) else chunk.behavior.ignored
    chunk_labels.included |= {*chunk.behavior.included}
    classifier = ChunkClassifier(chunk.reader, chunk.limits, ignored, chunk_labels)
    selected = dimensions(chunk.options)
    if scan.bulk is not None:
        chunk_labels.add_bulk(scan.bulk)
        # A listing of several pages may lack jobs, which shorter ranges return. An empty one may come from a failing
        # server. Other listings of one page lack nothing.
        classifications = scan.bulk.classifications
        selected = [
            dimension
            for dimension in selected
            if any(len(listing.pages) > 1 or not listing.ids for listing in classifications[dimension.name].listings)
        ]
    elif not chunk.options.loads_all_types:
        chunk_labels.label_object_types([*scan.listings, *typed])
    # In order: a set of 100,000 ids is read in twice the time of a list.
    ids = dict.fromkeys([*comparison.new, *(comparison.known if _retries_labels(chunk) else ())])
    locations = [dimension for dimension in selected if dimension.name == "location"]
    # In a first load each location is listed over the whole window: it may return jobs that the scan lacks.
    classifier.classify(jobs, scan.window, ids.keys(), locations, whole_window=chunk.lookup is None)
    jobs, added_ids = _add_jobs_missing_from_scan(chunk, scan, classifier, jobs, comparison, chunk_labels)
    types = dimensions(chunk.options) if added_ids else selected
    types = [dimension for dimension in types if dimension.name != "location"]
    listings_before = len(chunk_labels.listings)
    ids |= dict.fromkeys(added_ids)
    classifier.classify(jobs, scan.window, ids.keys(), types, chunk.scanner.by_location)
    if len(chunk_labels.listings) > listings_before:
        jobs, _ = _add_jobs_missing_from_scan(chunk, scan, classifier, jobs, comparison, chunk_labels)
    chunk_labels.ignored |= set(ignored)
    if any(listing.surplus or listing.has_no_list for listing in chunk_labels.listings):
        names = [dimension.name for dimension in dimensions(chunk.options)]
        for name in ids_without_labels(comparison.ids, chunk_labels.labels, names):
            _reject_surplus_totals(chunk_labels, name)
            if not chunk.state.scan.retry_labels:
                _reject_missing_lists(chunk_labels, name)
    return jobs


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


def _add_jobs_missing_from_scan(
    chunk: Chunk,
    scan: Scan,
    classifier: ChunkClassifier,
    jobs: pa.Table,
    comparison: Comparison,
    chunk_labels: ChunkLabels,
) -> tuple[pa.Table, set[str]]:
    """Add jobs that listings for labels returned and the scan did not; return all jobs, and the added ids.

    Without a location some servers return the jobs of the central location alone. Jobs may also be newer than the scan.
    """
    scanned_ids = comparison.ids
    further = [listing for listing in chunk_labels.listings if not listing.ids <= scanned_ids]
    if not chunk.options.loads_all_types:
        # A listing of a job type holds the jobs of all services.
        further = [listing for listing in further if listing.selection.job_type is None]
    if not further:
        return jobs, set()
    others = deduplicate_latest(further)
    others = others.filter(pc.invert(pc.is_in(others["id"], pa.array(list(scanned_ids), pa.string()))))
    ids = set(others["id"].to_pylist())
    if not chunk.options.loads_all_types:
        types = OBJECT_TYPES._replace(values=chunk.options.object_types)
        classifier.classify(others, scan.window, ids, [types], by_location=True)
        ids &= chunk_labels.labels["object_type"].keys()
        others = filter_ids(others, sorted(ids))
    known = chunk.known_jobs(ids)
    added = compare(others, known, chunk.options.until)
    comparison.new += added.new
    comparison.changed += added.changed
    comparison.unchanged += added.unchanged
    comparison.changes += added.changes
    comparison.known |= known
    for name, label_by_id in known_labels(known).items():
        chunk_labels.labels[name] |= label_by_id
    if any(listing.selection.location is not None for listing in further):
        chunk.scanner.by_location = True
    return pa.concat_tables([jobs, others]), ids


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
