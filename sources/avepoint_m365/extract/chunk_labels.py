"""Fill the labels of the jobs of a chunk: location, object type and job type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.classify import OBJECT_TYPES
from avepoint_m365.extract.deduplicate import deduplicate_latest, filter_ids
from avepoint_m365.extract.known import Comparison, compare
from avepoint_m365.extract.label import Labeller, Labelling, add_bulk, dimensions, known_labels, without_labels
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.look import Look
from avepoint_m365.extract.options import NO_LABELS
from avepoint_m365.state import is_due

if TYPE_CHECKING:
    from avepoint_m365.extract.extraction import ChunkReader


def label(
    chunk: ChunkReader,
    look: Look,
    jobs: pa.Table,
    comparison: Comparison,
    labelling: Labelling,
    typed: Sequence[Listing] = (),
) -> pa.Table:
    """Fill the labels of the jobs that miss one; return the jobs, with those that only a label's listing shows.

    ``typed`` are listings beside the look that name an object type.
    """
    ignored = () if is_due(chunk.behavior.filters_at, chunk.options.until) else chunk.behavior.ignored
    labeller = Labeller(chunk.reader, chunk.limits, ignored, labelling)
    asked = dimensions(chunk.options)
    if look.bulk is not None:
        add_bulk(labelling, look.bulk)
        # What the lists left out is asked for again over shorter ranges. A list of one page leaves nothing out, but an
        # empty one may be that of a server in trouble.
        read = look.bulk.labels
        asked = [
            dimension
            for dimension in asked
            if any(len(page.pages) > 1 or not page.ids for page in read[dimension.name].listings)
        ]
    elif not chunk.options.loads_all_types:
        labelling.label_by_looks([*look.listings, *typed])
    wanted = {*comparison.new, *(comparison.known if _retries_labels(chunk) else ())}
    first = [dimension for dimension in asked if dimension.name == "location"]
    # Where nothing is known, each location is asked for the whole window: it may show what the look does not.
    labeller.label(jobs, look.window, wanted, first, whole_window=chunk.lookup is None)
    jobs, others = _add_what_only_labels_show(chunk, look, labeller, jobs, comparison, labelling)
    rest = dimensions(chunk.options) if others else asked
    rest = [dimension for dimension in rest if dimension.name != "location"]
    read_before = len(labelling.listings)
    labeller.label(jobs, look.window, wanted | others, rest, chunk.looker.by_location)
    if len(labelling.listings) > read_before:
        jobs, _ = _add_what_only_labels_show(chunk, look, labeller, jobs, comparison, labelling)
    labelling.ignored |= set(ignored)
    names = [dimension.name for dimension in dimensions(chunk.options)]
    for name in without_labels(jobs["id"].to_pylist(), labelling.of, names):
        _doubt_what_hides_a_job(labelling, name)
        if not chunk.state.look.retry_labels:
            _doubt_what_is_no_list(labelling, name)
    return jobs


def _doubt_what_is_no_list(labelling: Labelling, dimension: str) -> None:
    """Make a label's listing incomplete if the API sent no list for it, and a job has no label.

    So the next load reads the range again. If it fares no better, the jobs are of a type outside the lists.
    """
    for listing in labelling.listings:
        asked = getattr(listing.selection, dimension) is not None and listing.pages and listing.detail is None
        if asked and not listing.ids and all(page.page.without_list for page in listing.pages):
            listing.complete, listing.error_kind = False, "bad_response"
            listing.detail = "The API sent no list (204 or null), although jobs without this label exist"


def _doubt_what_hides_a_job(labelling: Labelling, dimension: str) -> None:
    """Make a label's listing incomplete if its total counts a job that it does not show, and a job has no label.

    A total that is one too high is believed elsewhere: some servers count so in each listing. Where other listings of
    the dimension count right, the job without a label may be the one that is missing.
    """
    listings = [
        listing for listing in labelling.listings if getattr(listing.selection, dimension) is not None and listing.ids
    ]
    if any(not listing.surplus for listing in listings):
        for listing in listings:
            listing.complete &= not listing.surplus


def _add_what_only_labels_show(
    chunk: ChunkReader, look: Look, labeller: Labeller, jobs: pa.Table, comparison: Comparison, labelling: Labelling
) -> tuple[pa.Table, set[str]]:
    """Add jobs that the look lacks although a listing of one label shows them; return all jobs, and those ids.

    Without a location some servers show the central one alone. Jobs may also have come since the look.
    """
    seen = set(jobs["id"].to_pylist())
    elsewhere = [listing for listing in labelling.listings if not listing.ids <= seen]
    if not chunk.options.loads_all_types:
        # A listing of a job type holds the jobs of all services.
        elsewhere = [listing for listing in elsewhere if listing.selection.job_type is None]
    if not elsewhere:
        return jobs, set()
    others = deduplicate_latest(elsewhere)
    others = others.filter(pc.invert(pc.is_in(others["id"], pa.array(list(seen), pa.string()))))
    ids = set(others["id"].to_pylist())
    if not chunk.options.loads_all_types:
        types = replace(OBJECT_TYPES, values=chunk.options.object_types)
        labeller.label(others, look.window, ids, [types], by_location=True)
        ids = {job_id for job_id in ids if labelling.of.get(job_id, NO_LABELS).object_type}
        others = filter_ids(others, sorted(ids))
    known = chunk.known_jobs(ids)
    added = compare(others, known)
    comparison.new += added.new
    comparison.changed += added.changed
    comparison.unchanged += added.unchanged
    comparison.changes += added.changes
    comparison.known |= known
    labelling.of |= {
        job_id: labels.filled_from(labelling.of.get(job_id, NO_LABELS))
        for job_id, labels in known_labels(known).items()
    }
    if any(listing.selection.location is not None for listing in elsewhere):
        chunk.looker.by_location = True
    return pa.concat_tables([jobs, others]), ids


def _retries_labels(chunk: ChunkReader) -> bool:
    """Return whether jobs that the warehouse holds without a label are classified again: once, then once a day."""
    look = chunk.state.look
    return (
        chunk.is_range
        or look.cursor is None
        or look.retry_labels
        or is_due(chunk.behavior.filters_at, chunk.options.until)
    )
