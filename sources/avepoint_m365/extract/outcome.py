"""Build the outcome of a chunk: rows to write, findings and the next state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract import findings, window_plan
from avepoint_m365.extract.deduplicate import filter_ids
from avepoint_m365.extract.known import Comparison
from avepoint_m365.extract.label import Labelling, known_labels
from avepoint_m365.extract.look import Look
from avepoint_m365.extract.options import NO_LABELS, ChunkResult
from avepoint_m365.extract.upkeep import Upkeep
from avepoint_m365.state import ApiBehavior

if TYPE_CHECKING:
    from avepoint_m365.extract.extraction import ChunkReader


def build_outcome(
    chunk: ChunkReader, look: Look, upkeep: Upkeep, jobs: pa.Table, comparison: Comparison, labelling: Labelling
) -> ChunkResult:
    """Return the result of a chunk: the rows to write, its findings and the next state."""
    before = known_labels(comparison.known)
    relabelled = [job_id for job_id in comparison.unchanged if labelling.of.get(job_id, NO_LABELS) != before[job_id]]
    ids = [*comparison.new, *comparison.changed, *relabelled]
    written = jobs if len(ids) == jobs.num_rows else filter_ids(jobs, ids)
    states = pc.value_counts(jobs["state"]).to_pylist()
    listings = list(
        {id(listing): listing for listing in (*look.audited, *labelling.listings, *upkeep.listings)}.values()
    )
    complete = all(listing.complete for listing in listings)
    outcome = ChunkResult(
        window=look.window,
        jobs=written,
        state=chunk.state,
        labels=labelling.of,
        first_seen={job.id: job.first_seen_at for job in comparison.known.values() if job.first_seen_at},
        new=set(comparison.new),
        unchanged=len(comparison.unchanged) - len(relabelled),
        states={str(state["values"]): state["counts"] for state in states},
        listings=listings,
        changes=comparison.changes,
        reconciliations=upkeep.reconciliations,
        state_words=upkeep.words,
        chunk_end=look.chunk_end,
        complete=complete,
        in_progress=set(jobs.filter(pc.is_null(jobs["finish_time"]))["id"].to_pylist()),
    )
    unlabelled = findings.new_without_labels(outcome, comparison, chunk.options)
    outcome.findings = [
        *chunk.findings,
        *upkeep.findings,
        *findings.without_effect(labelling.ignored),
        *findings.outside_the_lists(outcome, comparison, chunk.lookup, chunk.options, labelling.ignored, unlabelled),
    ]
    behavior = _learned(chunk, labelling, look, upkeep)
    outcome.state = window_plan.next_state(chunk, look, outcome, behavior, upkeep, bool(unlabelled))
    return outcome


def _learned(chunk: ChunkReader, labelling: Labelling, look: Look, upkeep: Upkeep) -> ApiBehavior:
    """Return what is known of the API after this load."""
    now = chunk.options.until
    behavior = upkeep.behavior or chunk.behavior
    behavior = replace(
        behavior,
        longest_range_days=chunk.limits.days,
        by_location=chunk.looker.by_location,
        pascal_case=chunk.looker.pascal_case,
    )
    if labelling.listings or look.bulk is not None:
        behavior = replace(behavior, ignored=tuple(sorted(labelling.ignored)), filters_at=now)
    if not look.jobs.num_rows and chunk.looker.doubts_nothing:
        behavior = replace(behavior, empty_at=now)
    return behavior
