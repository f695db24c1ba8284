"""Append the rows of a tenant's first load, chunk by chunk. dlt needs twice as long to merge them.

dlt repeats a file of a package that was cut short, and an append that is repeated gives rows twice. So such a package
is never loaded on: the next load reads its jobs again, and merges them.
"""

from __future__ import annotations

from pathlib import Path

import dlt
import pyarrow as pa
from avepoint_m365.extract.extraction import Extraction
from avepoint_m365.schema import BACKUP_DETAILS, JOB_ERRORS, JOBS

from m365_jobs.warehouse.destinations.duckdb_rows import delete_parts, has_jobs
from m365_jobs.warehouse.destinations.kinds import kind_of

APPENDS, MERGES = "first_rows_append", "first_rows_merge"
"""Files in a pipeline's folder: what its package does, and what its next one must do. ``pending`` empties the folder
before each load."""


def begin(pipeline: dlt.Pipeline, extraction: Extraction | None, is_first_load: bool) -> bool:
    """Return whether the next package may append jobs, details and errors, and note it before there is such a package.

    ``is_first_load`` tells that an earlier chunk of the same load appended.
    """
    folder, lookup = Path(pipeline.working_dir), extraction.lookup if extraction else None
    may_append = kind_of(pipeline).appends_first and not (folder / MERGES).exists()
    appends = may_append and lookup is not None and (is_first_load or lookup.is_empty())
    if appends:
        (folder / APPENDS).touch()
    return appends


def is_overtaken(pipeline: dlt.Pipeline, tenant: str, ids: pa.ChunkedArray) -> bool:
    """Return whether another load has written some of the jobs since this one found none. Needs the write lock.

    Two machines may begin the first load of a tenant at once: then the jobs of both would be there, each twice.
    """
    return is_appending(pipeline) and has_jobs(pipeline, JOBS.name, tenant, ids.to_pylist())


def load_package(pipeline: dlt.Pipeline, tenant: str, ids: pa.ChunkedArray) -> None:
    """Load the package of a tenant with the jobs that have these ids.

    Before an append, what an earlier one left is deleted: details, say, if it was cut short before their jobs came.
    """
    if is_appending(pipeline):
        delete_parts(pipeline, (BACKUP_DETAILS.name, JOB_ERRORS.name), tenant, ids.to_pylist())
    pipeline.load()
    end(pipeline)


def end(pipeline: dlt.Pipeline) -> None:
    """Note that the package does not append, or is loaded."""
    (Path(pipeline.working_dir) / APPENDS).unlink(missing_ok=True)


def is_appending(pipeline: dlt.Pipeline) -> bool:
    """Return whether a package that is ready in the pipeline's folder appends."""
    return (Path(pipeline.working_dir) / APPENDS).exists()


def merge_next(pipeline: dlt.Pipeline) -> None:
    """Make the next package merge: what fails again and again is handled for packages that can be loaded on."""
    (Path(pipeline.working_dir) / MERGES).touch()
