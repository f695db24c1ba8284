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
    places = pa.array(range(jobs.num_rows), rows.type)
    return jobs.select(FRAME.names).filter(pc.invert(pc.is_in(places, dropped)))


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
