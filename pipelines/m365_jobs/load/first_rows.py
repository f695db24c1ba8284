"""Append the rows of a tenant's first load instead of merging them, for which dlt needs twice as long.

dlt repeats the files of an interrupted package, and a repeated append duplicates rows. So an interrupted package that
appends is dropped: the next load reads its jobs again, and merges them.
"""

from __future__ import annotations

from pathlib import Path

import dlt
import pyarrow as pa
from avepoint_m365.extract.known import Lookup
from avepoint_m365.schema import BACKUP_DETAILS, JOB_ERRORS, JOBS

from m365_jobs.warehouse.destinations.duckdb_rows import delete_child_rows, has_jobs
from m365_jobs.warehouse.destinations.kinds import kind_of

APPENDS, MERGES = "first_rows_append", "first_rows_merge"
"""Marker files in a pipeline's folder: its package appends; its next package must merge. ``pending`` empties the folder
before each load."""


def begin(pipeline: dlt.Pipeline, lookup: Lookup, *, appended: bool) -> bool:
    """Return whether the next package appends jobs, details and errors; if it does, mark the folder beforehand.

    ``appended`` is true if an earlier chunk of the same load appended.
    """
    folder = Path(pipeline.working_dir)
    may_append = kind_of(pipeline).appends_first_load and not (folder / MERGES).exists()
    appends = may_append and (appended or lookup.is_empty())
    if appends:
        (folder / APPENDS).touch()
    return appends


def is_overtaken(pipeline: dlt.Pipeline, tenant: str, ids: pa.ChunkedArray) -> bool:
    """Return whether another load has written some of the jobs since this one found none. Needs the write lock.

    Two machines may begin the first load of a tenant at once, and their appends would store each job twice.
    """
    return is_appending(pipeline) and has_jobs(pipeline, JOBS.name, tenant, ids.to_pylist)


def load_package(pipeline: dlt.Pipeline, tenant: str, ids: pa.ChunkedArray) -> None:
    """Load the package of a tenant; ``ids`` are those of its jobs.

    Before an append, details and errors of these jobs are deleted: an interrupted append may have left them.
    """
    if is_appending(pipeline):
        delete_child_rows(pipeline, (BACKUP_DETAILS.name, JOB_ERRORS.name), tenant, ids.to_pylist)
    pipeline.load()
    end(pipeline)


def end(pipeline: dlt.Pipeline) -> None:
    """Remove the mark: the package does not append, or is loaded."""
    (Path(pipeline.working_dir) / APPENDS).unlink(missing_ok=True)


def is_appending(pipeline: dlt.Pipeline) -> bool:
    """Return whether a package that is ready in the pipeline's folder appends."""
    return (Path(pipeline.working_dir) / APPENDS).exists()


def merge_next(pipeline: dlt.Pipeline) -> None:
    """Make the next package merge: only a package that merges can be resumed after a failure."""
    (Path(pipeline.working_dir) / MERGES).touch()
