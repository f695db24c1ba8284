"""What a load does differently from destination to destination: before dlt extracts, and after dlt has loaded."""

from __future__ import annotations

from typing import Any

import dlt

from m365_jobs import lake


def prepare(source: Any, pipeline: dlt.Pipeline) -> Any:
    """Fits a source, or a single resource, to the destination of the pipeline; the same object."""
    resources = source.resources.values() if hasattr(source, "resources") else [source]
    for resource in resources:
        if lake.is_lake(pipeline):
            lake.adapt(resource, pipeline)
    return source


def finish(pipeline: dlt.Pipeline, tenant: str) -> None:
    """What is to be done once a load is in the warehouse; nothing of it is needed for the rows to be right."""
    if lake.is_lake(pipeline):
        lake.tidy(pipeline, tenant)
