"""Follow jobs in progress that a scan does not contain: request each by itself. Notice servers that hide them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.api.page import JobsPage
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.known import OpenJob
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.source_finding import SourceFinding
from avepoint_m365.extract.window import Selection, Window
from avepoint_m365.parse.frame import TIME

MAX_FOLLOWED = 10
"""The most jobs that one load requests one by one."""

APPEARANCE = timedelta(hours=1)
"""Time after its start at which an API shows a job; one that it shows later is no sign that jobs are hidden."""

JobById = Callable[[str, str | None], JobsPage | None]
"""Returns the page of one job, by its id and location; None if the API does not have it."""


class Followed(NamedTuple):
    """Hold the result of requesting jobs one by one.

    Attributes:
        listings: One listing for each job.
        missing: Jobs that the API does not return.
    """

    listings: list[Listing]
    missing: list[OpenJob]


def follow_open_jobs(
    reader: ListingReader, jobs: Sequence[OpenJob], job_by_id: JobById | None, window: Window
) -> Followed:
    """Request jobs in progress that a scan did not contain, at most ``MAX_FOLLOWED``.

    Args:
        reader: Lists the second in which a job started, if ``job_by_id`` is None.
        jobs: The jobs, oldest start first.
        job_by_id: Requests a single job; None if the endpoint has no path for it.
        window: The window of the scan.

    Raises:
        SourceError: if no further request can succeed.
    """
    followed = Followed([], [])
    for job in jobs[:MAX_FOLLOWED]:
        listing = _read_job(reader, job, job_by_id, window)
        followed.listings.append(listing)
        if job.id not in listing.ids:
            followed.missing.append(job)
    return followed


def _read_job(reader: ListingReader, job: OpenJob, job_by_id: JobById | None, window: Window) -> Listing:
    """Return the listing of one job; a failed one if it cannot be read."""
    start = job.start_time or window.query_start
    selection = Selection(Window.exact(start, start))
    try:
        if job_by_id is None:
            return reader.read(selection)
        listing = Listing(selection, complete=True)
        page = job_by_id(job.id, job.location)
        if page is None:
            listing.requests = 1
        else:
            listing.add([page])
        return listing
    except SourceError as error:
        if error.ends_load:
            raise
        failed = Listing(selection)
        failed.fail(error)
        return failed


def unfollowed_findings(
    jobs: Sequence[OpenJob], missing: Collection[str], now: datetime, max_open: timedelta
) -> list[SourceFinding]:
    """Return the findings of jobs in progress that scans no longer follow: too old, or no longer returned."""
    old = [job.id for job in jobs if job.start_time and job.start_time < now - max_open]
    gone = [job.id for job in jobs if job.id in missing]
    problems = [
        (f"been in progress for more than {max_open.days} days, after which a load asks only once a day", old),
        ("disappeared from the API while in progress, so no load can read an end", gone),
    ]
    return [SourceFinding("job_given_up", problem, len(ids), ids[0]) for problem, ids in problems if ids]


def hidden_job_findings(new_jobs: pa.Table, loaded_until: datetime | None) -> list[SourceFinding]:
    """Return the finding of new jobs (``FRAME``) that were in progress in the last load, which ended at that time.

    Call it if the API shows no job in progress, and none is known: a range may leave jobs without an end out.
    """
    if loaded_until is None:
        return []
    begun = pc.less(new_jobs["start_time"], pa.scalar(loaded_until - APPEARANCE, TIME))
    ids = new_jobs.filter(pc.and_(begun, pc.greater(new_jobs["finish_time"], pa.scalar(loaded_until, TIME))))["id"]
    problem = "been in no list until they ended: the API may leave jobs in progress out of its lists"
    return [SourceFinding("hidden_in_progress", problem, len(ids), ids[0].as_py())] if len(ids) else []
