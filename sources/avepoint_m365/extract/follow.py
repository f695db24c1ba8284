"""Follow jobs in progress that a look no longer shows: ask for each before it is given up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from avepoint_m365.api.page import JobsPage
from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.classify import FATAL
from avepoint_m365.extract.known import OpenJob
from avepoint_m365.extract.listing import Listing, ListingReader
from avepoint_m365.extract.options import SourceFinding
from avepoint_m365.extract.window import Selection, Window

MAX_FOLLOWED = 10
"""Jobs that one load asks for one by one."""

JobById = Callable[[str, str | None], JobsPage | None]


@dataclass
class Followed:
    """Hold the jobs that were asked for one by one.

    Attributes:
        listings: The listings that show them.
        missing: Jobs that the API no longer shows.
    """

    listings: list[Listing] = field(default_factory=list)
    missing: list[OpenJob] = field(default_factory=list)


def follow(reader: ListingReader, jobs: Sequence[OpenJob], job_by_id: JobById | None, window: Window) -> Followed:
    """Ask for jobs in progress that a look did not show, at most ``MAX_FOLLOWED``.

    Args:
        reader: Lists the second in which a job started.
        jobs: The jobs, those that are open for longest first.
        job_by_id: Asks for a single job, where the endpoint can.
        window: The window of the look.

    Raises:
        SourceError: if no further request can succeed.
    """
    followed = Followed()
    for job in jobs[:MAX_FOLLOWED]:
        listing = _ask(reader, job, job_by_id, window)
        followed.listings.append(listing)
        if job.id not in listing.ids:
            followed.missing.append(job)
    return followed


def _ask(reader: ListingReader, job: OpenJob, job_by_id: JobById | None, window: Window) -> Listing:
    start = job.start_time or window.begin
    selection = Selection(Window(start, start, start))
    try:
        if job_by_id is None:
            return reader.read(selection)
        listing = Listing(selection, complete=True)
        page = job_by_id(job.id, job.location)
        listing.requests = 1
        if page is not None:
            listing.requests = 0
            listing.add([page])
        return listing
    except SourceError as error:
        if error.kind in FATAL:
            raise
        failed = Listing(selection)
        failed.fail(error)
        return failed


def given_up(
    jobs: Sequence[OpenJob], missing: Collection[str], now: datetime, max_open: timedelta
) -> list[SourceFinding]:
    """Return the findings of jobs in progress that looks no longer follow: too old, or no longer returned."""
    old = [job.id for job in jobs if job.start_time and job.start_time < now - max_open]
    gone = [job.id for job in jobs if job.id in missing]
    findings = [
        (f"been in progress for more than {max_open.days} days and are asked for only once a day", old),
        ("not ended in the warehouse and are no longer returned by the API", gone),
    ]
    return [SourceFinding("job_given_up", problem, len(ids), ids[0]) for problem, ids in findings if ids]
