"""Write the rows of failed runs to ``load_runs`` once the destination accepts them."""

from __future__ import annotations

import dlt

from m365_jobs.errors.explain import explain
from m365_jobs.load.run_log import UnsentRuns, runs_resource
from m365_jobs.locks.base import Lease
from m365_jobs.locks.pipeline_folder import write_lock
from m365_jobs.terminal import Notify
from m365_jobs.warehouse import contract


def write_unsent_runs(unsent: UnsentRuns, pipeline: dlt.Pipeline, lease: Lease, notify: Notify) -> None:
    """Write the unsent rows of failed runs; if that fails, they stay unsent for the next load."""
    if pipeline.has_pending_data:
        return
    try:
        # Without the lease this fails too, and must not hide the cause of the first failure.
        with write_lock(pipeline, lease, notify):
            contract.write_rows(pipeline, runs_resource(iter(unsent.rows())))
        unsent.clear()
    except Exception as error:
        notify(f"The failed run will be recorded with the next load: {explain(error).text}")
