"""Write the rows of failed runs once the destination accepts them. Readers of the run log need no locks."""

from __future__ import annotations

import dlt

from m365_jobs.errors.explain import explain
from m365_jobs.load.run_log import UnsentRuns, runs_resource
from m365_jobs.locks.base import Lease, Notify
from m365_jobs.locks.pipeline_folder import write_lock
from m365_jobs.warehouse import contract


def record_unsent(backlog: UnsentRuns, pipeline: dlt.Pipeline, lease: Lease, notify: Notify) -> None:
    """Write waiting rows of failed runs; if that fails as well, they keep waiting."""
    if pipeline.has_pending_data:
        return
    try:
        # Without the lease this fails as well, and must not hide why the load did.
        with write_lock(pipeline, lease, notify):
            contract.write_rows(pipeline, runs_resource(iter(backlog.rows())))
        backlog.clear()
    except Exception as error:
        notify(f"The failed run will be recorded with the next load: {explain(error).text}")
