"""Return the actual and the expected content of a warehouse in the same form, so that a test can compare both."""

from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from avepoint_m365.constants import JobType, ObjectType
from avepoint_simulator import World

OBJECT_TYPES = {int(known): known.name for known in ObjectType}
JOB_TYPES = {int(known): known.name for known in JobType}


def in_warehouse(file: Path, tenant: str = "default", dataset: str = "m365_jobs") -> dict[str, Any]:
    """Return the rows of each job in the three tables of a DuckDB file, by job id."""
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute(f"SET TimeZone = 'UTC'; USE {dataset}")
        jobs = connection.execute(
            "SELECT id, location, object_type, job_type, state, epoch(start_time), epoch(finish_time), total_number, "
            "failed_number, successful_number, skipped_number FROM jobs "
            "JOIN jobs__backup_details d ON d.tenant = jobs.tenant AND d.job_id = jobs.id WHERE jobs.tenant = ?",
            [tenant],
        ).fetchall()
        errors = connection.execute(
            "SELECT job_id, value, is_error_code, url, number FROM jobs__job_errors WHERE tenant = ? "
            "ORDER BY job_id, error_index",
            [tenant],
        ).fetchall()
    assert len({row[0] for row in jobs}) == len(jobs), "a job has two rows"
    return {row[0]: (*row[1:], tuple(error[1:] for error in errors if error[0] == row[0])) for row in jobs}


def end_of_day(moment: datetime) -> datetime:
    """Return the midnight (UTC) at or after ``moment``, up to which a load asks for a range that ends then."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == moment else midnight + timedelta(days=1)


def on_server(world: World, locations: bool | Collection[str]) -> dict[str, Any]:
    """Return the expected content of the warehouse from the data of the simulator, without the code under test.

    ``locations`` are the locations that loads ask for; True means all. The label of a job in another location is None,
    and so is an unknown object type or job type.
    """
    listed = {job.location for job in world.visible()} if locations is True else locations or ()
    truth = {}
    for job in world.visible():
        done = job.finished(world.now)
        assert job.finish is not None
        truth[job.id] = (
            job.location if job.location in listed else None,
            OBJECT_TYPES.get(job.object_type),
            JOB_TYPES.get(job.job_type),
            job.final_state if done else "In Progress",
            job.start.timestamp(),
            job.finish.timestamp() if done else None,
            *((job.total, job.failed, job.total - job.failed - job.skipped, job.skipped) if done else (0, 0, 0, 0)),
            tuple((error.text, error.is_code, error.url, error.occurrences) for error in job.errors) if done else (),
        )
    return truth
