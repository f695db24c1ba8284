"""Build the result of a chunk: the rows to write, the findings and the next state."""

from __future__ import annotations

import pyarrow.compute as pc

from avepoint_m365.constants import LABELS
from avepoint_m365.endpoints import ParameterSpelling
from avepoint_m365.extract import findings, window_plan
from avepoint_m365.extract.chunk import Chunk
from avepoint_m365.extract.chunk_labels import ChunkLabels, known_labels
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.deduplicate import filter_ids
from avepoint_m365.extract.known import Comparison
from avepoint_m365.extract.label_chunk import LabelledJobs
from avepoint_m365.extract.scan import Scan
from avepoint_m365.extract.upkeep import Upkeep
from avepoint_m365.state import ApiBehavior, is_due


def build_result(chunk: Chunk, scan: Scan, upkeep: Upkeep, labelled: LabelledJobs) -> ChunkResult:
    """Return the result of a chunk: the rows to write, its findings and the next state."""
    jobs, comparison, chunk_labels = labelled.jobs, labelled.comparison, labelled.labels
    relabelled = _relabelled_ids(comparison, chunk_labels).intersection(comparison.unchanged)
    ids = [*comparison.new, *comparison.changed, *relabelled]
    written = jobs if len(ids) == jobs.num_rows else filter_ids(jobs, ids)
    states = pc.value_counts(jobs["state"]).to_pylist()
    # A listing may serve rows and labels; load_audit gets it once.
    listings = list(
        {id(listing): listing for listing in (*scan.audited, *chunk_labels.listings, *upkeep.listings)}.values()
    )
    result = ChunkResult(
        window=scan.window,
        jobs=written,
        state=chunk.state,
        labels=chunk_labels.labels,
        first_seen={job.id: job.first_seen_at for job in comparison.known.values() if job.first_seen_at},
        new=set(comparison.new),
        unchanged=len(comparison.unchanged) - len(relabelled),
        states={str(state["values"]): state["counts"] for state in states},
        listings=listings,
        changes=comparison.changes,
        reconciliations=upkeep.reconciliations,
        state_words=upkeep.state_words,
        chunk_end=scan.chunk_end,
        complete=all(listing.complete for listing in listings),
        in_progress=set(jobs.filter(pc.is_null(jobs["finish_time"]))["id"].to_pylist()),
    )
    unlabelled = findings.new_ids_without_label(result, comparison, chunk.options)
    result.findings = [
        *chunk.findings,
        *upkeep.findings,
        *findings.ignored_filter_findings(chunk_labels.ignored),
        *findings.shared_job_findings(chunk_labels.shared),
        *findings.unlisted_job_findings(
            result, comparison, chunk.lookup, chunk.options, chunk_labels.ignored, unlabelled
        ),
    ]
    behavior = _behavior_after_load(chunk, chunk_labels, scan, upkeep)
    result.state = window_plan.next_state(chunk, scan, result, behavior, upkeep, bool(unlabelled))
    return result


def _relabelled_ids(comparison: Comparison, chunk_labels: ChunkLabels) -> set[str]:
    """Return the ids of jobs that the warehouse holds without a label that they have now."""
    known, stored = comparison.known.keys(), known_labels(comparison.known)
    return set().union(*(chunk_labels.labels[name].keys() & known - stored[name].keys() for name in LABELS))


def _behavior_after_load(chunk: Chunk, chunk_labels: ChunkLabels, scan: Scan, upkeep: Upkeep) -> ApiBehavior:
    """Return the API behaviour that is known after this load."""
    now = chunk.options.until
    behavior = upkeep.behavior or chunk.behavior
    behavior = behavior._replace(
        longest_range_days=chunk.limits.days,
        by_location=chunk.scanner.by_location,
        pascal_case=chunk.client.spelling is ParameterSpelling.pascal,
        largest_page=chunk.reader.paging.largest_page,
        longest_list=chunk.reader.paging.longest_list,
        total_surplus=chunk.reader.paging.total_surplus,
        included=tuple(sorted({*behavior.included, *chunk_labels.included})),
    )
    if is_due(behavior.other_totals_at, now):
        behavior = behavior._replace(other_totals_at=now if chunk.reader.paging.totals_count_others else None)
    if chunk_labels.listings or scan.bulk is not None:
        behavior = behavior._replace(ignored=tuple(sorted(chunk_labels.ignored)), filters_at=now)
    if chunk.scanner.confirms_empty and (not scan.jobs.num_rows or chunk.scanner.confirmed_no_list):
        behavior = behavior._replace(empty_at=now)
    return behavior
