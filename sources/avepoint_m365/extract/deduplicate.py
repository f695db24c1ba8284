"""Combine the jobs of listings in one table, each job once, and select jobs of such tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.listing import Listing
from avepoint_m365.parse.frame import FRAME, SEEN_AT
from avepoint_m365.parse.raw import parse_raw


def deduplicate_latest(listings: Iterable[Listing]) -> pa.Table:
    """Return each job of the listings once (``FRAME``), from the page that arrived last.

    A finished row replaces a row in progress even if it arrived earlier: pages may come from replicas that lag behind.
    """
    return latest(pa.concat_tables([parse_raw([]).jobs, *(listing.parsed.jobs for listing in listings)]))


def latest(jobs: pa.Table) -> pa.Table:
    """Return each job of a table of ``FRAME`` with ``SEEN_AT`` once; see ``deduplicate_latest``."""
    counts = pc.value_counts(jobs["id"])
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if not len(repeated):
        return jobs.select(FRAME.names)
    rows = pc.indices_nonzero(pc.is_in(jobs["id"], repeated))
    copies = pa.table(
        {
            "row": rows,
            "id": jobs["id"].take(rows),
            "ended": pc.cast(pc.is_valid(jobs["finish_time"].take(rows)), pa.int8()),
            SEEN_AT: jobs[SEEN_AT].take(rows),
        }
    )
    copies = copies.sort_by([("ended", "ascending"), (SEEN_AT, "ascending"), ("row", "ascending")])
    last = dict(zip(copies["id"].to_pylist(), copies["row"].to_pylist(), strict=True))
    dropped = pa.array(set(rows.to_pylist()) - set(last.values()), rows.type)
    row_numbers = pa.array(range(jobs.num_rows), rows.type)
    return jobs.select(FRAME.names).filter(pc.invert(pc.is_in(row_numbers, dropped)))


class FinishedJob(NamedTuple):
    """Describe a finished job. Times are UTC."""

    id: str
    start_time: datetime
    finish_time: datetime


def finished_job(jobs: pa.Table, row: int) -> FinishedJob:
    """Return the job in a row of ``FRAME`` that has a start and a finish."""
    return FinishedJob(*(jobs[name][row].as_py() for name in FinishedJob._fields))


def oldest_finished(jobs: pa.Table) -> FinishedJob | None:
    """Return the finished job that started first; None without one."""
    finished = jobs.filter(pc.and_(pc.is_valid(jobs["finish_time"]), pc.is_valid(jobs["start_time"])))
    if not finished.num_rows:
        return None
    return finished_job(finished, pc.index(finished["start_time"], pc.min(finished["start_time"])).as_py())


def filter_ids(jobs: pa.Table, ids: Iterable[str]) -> pa.Table:
    """Return the rows of ``jobs`` whose id is in ``ids``."""
    return jobs.filter(pc.is_in(jobs["id"], pa.array(list(ids), pa.string())))


def certainly_within(jobs: pa.Table, start: pa.Scalar, end: pa.Scalar) -> set[str]:
    """Return ids of the jobs whose start and finish lie in a range, so that the API returns them in any case.

    Args:
        jobs: ``FRAME``.
        start: Start of the range, as a timestamp (UTC).
        end: End of the range, as a timestamp (UTC). A job in progress counts as one that ends within the range.
    """
    starts_within = pc.fill_null(pc.greater_equal(jobs["start_time"], start), False)
    ends_within = pc.fill_null(pc.less_equal(jobs["finish_time"], end), True)
    ids: list[str] = jobs.filter(pc.and_(starts_within, ends_within))["id"].to_pylist()
    return set(ids)
