"""Detect undocumented behaviour: which times a range is compared with."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.listing import ListingReader
from avepoint_m365.extract.window import EDGE, Selection, Window
from avepoint_m365.parse.frame import TIME
from avepoint_m365.state import RangeFilter

DAY = timedelta(days=1)


def telling_job(jobs: pa.Table, latest: datetime) -> tuple[str, datetime, datetime] | None:
    """Return id, start and finish of the job that tells what a range means; None if there is none.

    It is the longest of the finished jobs that continued past midnight UTC: the API may compare no more than the day.
    """
    jobs = jobs.filter(pc.less_equal(jobs["finish_time"], pa.scalar(latest, TIME)))
    before_finish = pc.subtract(jobs["finish_time"], pa.scalar(timedelta(seconds=2), pa.duration("us")))
    first, last = (pc.floor_temporal(times, unit="day") for times in (jobs["start_time"], before_finish))
    jobs = jobs.filter(pc.less(first, last))
    if not jobs.num_rows:
        return None
    durations = pc.subtract(jobs["finish_time"], jobs["start_time"]).cast(pa.int64())
    row = pc.index(durations, pc.max(durations)).as_py()
    job_id, start, finish = (jobs[name][row].as_py() for name in ("id", "start_time", "finish_time"))
    return job_id, start, finish


def detect_range_filter(reader: ListingReader, job_id: str, start: datetime, finish: datetime) -> RangeFilter:
    """Return which times of a job the API compares with a range, by the ranges that show one job.

    The job is looked for in a range that begins right before its finish, on a later day than its start. A short range
    has few pages. If it is missing, its start counts. Then it is looked for in a range that ends after its start, on
    that day. If it is missing there, its finish counts as well. If the API accepts dates alone, no range ends on that
    day, and that is assumed.

    Raises:
        SourceError: if a range cannot be read.
    """
    midnight = (start + DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    end = finish + EDGE
    if _shows(reader, Window(max(finish - EDGE, midnight), end, end), job_id):
        return RangeFilter.finish
    end = min(start + EDGE, midnight - EDGE)
    seen = not reader.paging.whole_days and _shows(reader, Window(start - EDGE, end, end), job_id)
    return RangeFilter.start if seen else RangeFilter.contained


def _shows(reader: ListingReader, window: Window, job_id: str) -> bool:
    return job_id in reader.read(Selection(window)).ids
