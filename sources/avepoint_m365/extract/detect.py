"""Detect which times of a job the API compares with a range; the vendor's reference does not say."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.deduplicate import FinishedJob, finished_job
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import DAY, EDGE, Selection, Window
from avepoint_m365.parse.frame import TIME
from avepoint_m365.state import RangeFilter


def longest_overnight_job(jobs: pa.Table, latest: datetime) -> FinishedJob | None:
    """Return the longest job that continued past midnight and finished by ``latest`` (UTC); None without one.

    Only such a job shows the meaning of a range, since the API may compare days instead of times.
    """
    jobs = jobs.filter(pc.less_equal(jobs["finish_time"], pa.scalar(latest, TIME)))
    before_finish = pc.subtract(jobs["finish_time"], pa.scalar(timedelta(seconds=2), pa.duration("us")))
    first, last = (pc.floor_temporal(times, unit="day") for times in (jobs["start_time"], before_finish))
    jobs = jobs.filter(pc.less(first, last))
    if not jobs.num_rows:
        return None
    durations = pc.subtract(jobs["finish_time"], jobs["start_time"]).cast(pa.int64())
    return finished_job(jobs, pc.index(durations, pc.max(durations)).as_py())


def detect_range_filter(reader: ListingReader, job_id: str, start: datetime, finish: datetime) -> RangeFilter:
    """Return which times of a job the API compares with a range, by two short ranges.

    1. The range of the finish, on a later day than the start. If it returns the job, the API compares the finish.
    2. The range of the start, which ends on that day. If it returns the job, the API compares the start.

    If neither returns it, a range returns only jobs that lie in it as a whole. The same is assumed if the API accepts
    dates alone, since no range then ends on the day of the start.

    Raises:
        SourceError: if a range cannot be read.
    """
    midnight = (start + DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    end = finish + EDGE
    if _shows(reader, Window.exact(max(finish - EDGE, midnight), end), job_id):
        return RangeFilter.finish
    end = min(start + EDGE, midnight - EDGE)
    seen = not reader.paging.whole_days and _shows(reader, Window.exact(start - EDGE, end), job_id)
    return RangeFilter.start if seen else RangeFilter.contained


def _shows(reader: ListingReader, window: Window, job_id: str) -> bool:
    return job_id in reader.read(Selection(window)).ids
