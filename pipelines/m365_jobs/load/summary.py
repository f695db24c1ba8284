"""What a load did, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365 import Progress
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.errors.explain import INCOMPLETE
from m365_jobs.warehouse.reader import open_in_load


@dataclass
class Summary:
    """What a load did."""

    run_id: str
    tenant: str
    warehouse: str
    dataset: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    states: Counter[str] = field(default_factory=Counter)
    incomplete: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """As in ``load_runs``."""
        return "incomplete" if self.incomplete else "complete"

    @property
    def exit_code(self) -> int:
        """0, or 3 where some partition could not be proved complete."""
        return INCOMPLETE if self.incomplete else 0


def incomplete(progress: Progress) -> list[str]:
    """A line for each listing that could not be proved complete."""
    return [
        f"{result.partition}, {listing.job_type.name if listing.job_type else 'all job types'}: "
        f"{len(listing.ids)} jobs found, {listing.reported_total if listing.reported_total is not None else '?'} "
        f"reported{f'; the API says: {listing.errors}' if listing.errors else ''}"
        for result in progress.results
        for listing in result.listings
        if not listing.complete
    ]


def compare(summary: Summary, pipeline: dlt.Pipeline, progress: Progress) -> None:
    """Adds up what a slice brought, against what the warehouse holds before it is loaded."""
    windows = [one.partition.window for one in progress.results]
    # A range may be of starts, and jobs go on past its end; and what a slice is asked for again from before its start
    # ended before it.
    spans = [pc.min_max(one.jobs["finish_time"]).as_py() for one in progress.results]
    start = min([*(one.begin for one in windows), *(one["min"] for one in spans if one["min"])])
    end = max([*(one.asked_end for one in windows), *(one["max"] for one in spans if one["max"])])
    known = _known(pipeline, summary.tenant, start, end)
    for result in progress.results:
        jobs = result.jobs
        for count in pc.value_counts(jobs["state"]).to_pylist():
            summary.states[str(count["values"])] += count["counts"]
        held = jobs.filter(pc.is_in(jobs["id"], pa.array(known.keys(), pa.string())))
        summary.new += jobs.num_rows - held.num_rows
        columns = (held[name].to_pylist() for name in ("id", "state", "start_time", "finish_time", "duration_hours"))
        changed = sum(known[job_id] != tuple(job) for job_id, *job in zip(*columns, strict=True))
        summary.changed += changed
        summary.unchanged += held.num_rows - changed
    summary.retries += sum(listing.retries for result in progress.results for listing in result.listings)


def _known(pipeline: dlt.Pipeline, tenant: str, start: datetime, end: datetime) -> dict[str, tuple[Any, ...]]:
    """What the warehouse says of jobs that ended between ``start`` and ``end`` (UTC) or have not ended."""
    with open_in_load(pipeline) as reader:
        try:
            rows = reader.rows(
                f"SELECT id, state, start_time, finish_time, duration_hours FROM {reader.table('jobs')} "
                "WHERE tenant = %s AND (finish_time IS NULL OR finish_time BETWEEN %s AND %s)",
                tenant,
                start,
                end,
            )
        except DestinationUndefinedEntity:
            return {}
    return {row.pop("id"): tuple(row.values()) for row in rows}
