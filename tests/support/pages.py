"""Create pages of jobs in the form of the client from rows in the form of the API."""

from collections.abc import Sequence
from typing import Any

from avepoint_m365.api.page import JobsPage, PageInfo
from avepoint_m365.endpoints import JOBS
from avepoint_m365.parse.raw import RawJobs

Row = dict[str, Any]


def jobs_page(
    rows: Sequence[Row], total: int | None = None, next_link: str | None = None, errors: str = "", **more: Any
) -> JobsPage:
    """Return a page of the first generation; ``more`` are fields of ``RawJobs``, such as ``seen_at``."""
    return JobsPage(
        PageInfo([str(row["id"]) for row in rows], total, next_link, errors), RawJobs(list(rows), **more), JOBS
    )
