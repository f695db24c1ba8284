"""Combine the jobs of listings in one table, each job once."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.listing import Listing
from avepoint_m365.parse.frame import FRAME, SEEN_AT
from avepoint_m365.parse.raw import parse_raw


def deduplicate_latest(listings: Iterable[Listing]) -> pa.Table:
    """Return each job of the listings once (``FRAME``), as it was read last.

    A finished job wins over the same job in progress: pages may come from replicas that lag behind.
    """
    return latest(pa.concat_tables([parse_raw([]).jobs, *(listing.parsed.jobs for listing in listings)]))


def latest(jobs: pa.Table) -> pa.Table:
    """Return each job once, of a table of ``FRAME`` with ``SEEN_AT``."""
    if not jobs.num_rows:
        return FRAME.empty_table()
    if pc.count_distinct(jobs["id"]).as_py() == jobs.num_rows:
        return jobs.select(FRAME.names)
    order = pa.table(
        {
            "row": pa.array(range(jobs.num_rows), pa.int64()),
            "ended": pc.cast(pc.is_valid(jobs["finish_time"]), pa.int8()),
            SEEN_AT: jobs[SEEN_AT],
        }
    )
    rows = order.sort_by([("ended", "ascending"), (SEEN_AT, "ascending"), ("row", "ascending")])["row"].to_pylist()
    ids = jobs["id"].to_pylist()
    last = {ids[row]: row for row in rows}
    return jobs.take(pa.array(sorted(last.values()), pa.int64())).select(FRAME.names)


def filter_ids(jobs: pa.Table, ids: Iterable[str]) -> pa.Table:
    """Return the rows of ``jobs`` whose id is in ``ids``."""
    return jobs.filter(pc.is_in(jobs["id"], pa.array(list(ids), pa.string())))


def certainly_within(jobs: pa.Table, start: pa.Scalar, end: pa.Scalar) -> set[str]:
    """Return ids of the jobs that lie in a range by any time that the API may compare.

    Args:
        jobs: ``FRAME``.
        start: Start of the range, as a timestamp (UTC).
        end: Its end. A job in progress is taken for one that ends within.
    """
    first = pc.fill_null(pc.greater_equal(jobs["start_time"], start), False)
    last = pc.fill_null(pc.less_equal(jobs["finish_time"], end), True)
    ids: list[str] = jobs.filter(pc.and_(first, last))["id"].to_pylist()
    return set(ids)
