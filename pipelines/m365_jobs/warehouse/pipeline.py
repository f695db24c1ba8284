"""Open the dlt pipeline that fills the warehouse: one for each tenant, all into one dataset."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.utils import get_resolved_traces
from dlt.common.runtime.telemetry import stop_telemetry

from m365_jobs.config.default_tenant import DEFAULT_TENANT, configured_tenant
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.warehouse import factory, target
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.factory import DUCKDB_FILE, default_file, destination_type
from m365_jobs.warehouse.target import (
    DATASET,
    Target,
    Warehouse,
    address_of,
    duckdb_file,
    fingerprint,
    open_warehouse,
)

__all__ = [
    "DATASET",
    "DEFAULT_TENANT",
    "DUCKDB_FILE",
    "Target",
    "Warehouse",
    "address_of",
    "configured_tenant",
    "default_file",
    "destination_type",
    "duckdb_file",
    "fingerprint",
    "open_warehouse",
]

PIPELINE = "m365_jobs"
DEMO_TENANT = "simulated"
"""The label of the demo's rows and cursors."""
UNSAID = (DEFAULT_TENANT, DEMO_TENANT)
"""Labels that no user has chosen, and so are left out where partitions are named."""
LONGEST_NAME = 64
"""Of a pipeline: dlt calls a schema by it, which may have no longer one."""

_configuring = threading.Lock()
"""dlt's configuration can be written by one thread only, and each tenant's load looks after it."""


def telemetry_off() -> None:
    """Turn dlt's anonymous telemetry off, unless the user's configuration sets it."""
    with _configuring:
        if dlt.config.get("runtime.dlthub_telemetry") is None:
            dlt.config["runtime.dlthub_telemetry"] = False
            # dlt has started it by now, because the configuration was asked for something.
            stop_telemetry()
            dlt.current.run_context().initialize_runtime()


def forget_looked_up_settings() -> None:
    """Clear dlt's log of the settings that this thread has looked up.

    dlt clears it when a run ends only. In a process that lives for days it would grow with each load and each page. Its
    entries hold exceptions, whose frames hold whole loads with their connections.
    """
    get_resolved_traces().clear()


def _keep_no_copies(pipeline: dlt.Pipeline) -> None:
    """Empty the staging tables after each load, if loads write in turns, unless the user's configuration sets it.

    The rows of the last load would stay there a second time: half of a DuckDB file after a first load.
    """
    key = "load.truncate_staging_dataset"
    if kind_of(pipeline).empties_staging:
        with _configuring:
            if dlt.config.get(key) is None:
                dlt.config[f"{pipeline.pipeline_name}.{key}"] = True


def log_at(level: str) -> None:
    """Make dlt log what is at least as severe as ``level``, unless the user's configuration sets a level.

    dlt logs failures with their tracebacks before it raises them.

    Raises:
        UsageError: for a level that is not known.
        ConfigurationException: for configuration that dlt cannot read.
    """
    try:
        if dlt.config.get("runtime.log_level") is None:
            dlt.config["runtime.log_level"] = level
            dlt.current.run_context().initialize_runtime()
    except ConfigurationException:
        raise
    except ValueError as error:
        known = "CRITICAL, ERROR, WARNING, INFO, DEBUG"
        raise UsageError(f"runtime.log_level: {error}. Known are: {known}.") from error


def pipeline_name(tenant: str) -> str:
    """Return the pipeline of a tenant. Each has its own cursors; all load into one dataset."""
    if tenant == DEFAULT_TENANT:
        return PIPELINE
    plain = re.sub(r"[^A-Za-z0-9]+", "_", tenant).strip("_").lower()
    room = LONGEST_NAME - len(f"{PIPELINE}__")
    if plain != tenant or len(plain) > room:
        # Two labels must not share cursors because they look alike without their punctuation or their ends.
        number = f"_{hashlib.sha256(tenant.encode()).hexdigest()[:8]}"
        plain = plain[: room - len(number)] + number
    return f"{PIPELINE}__{plain}"


def open_pipeline(
    tenant: str,
    destination: str | None = None,
    dataset: str | None = None,
    file: Path | None = None,
    folder: Path | None = None,
) -> dlt.Pipeline:
    """Return the pipeline of a tenant; nothing is read or written yet.

    ``destination`` is the name of any dlt destination. Without one the configuration counts (``destination_type``), and
    else a DuckDB file in the working directory. ``file`` is a DuckDB file that precedes all of these. ``folder`` is
    where the pipeline keeps its state, instead of dlt's place.

    Raises:
        UsageError: for a destination that is not known, and a DuckDB file that bears the name of the dataset.
    """
    telemetry_off()
    places: Any = {"pipelines_dir": str(folder)} if folder else {}
    made = factory.destination_factory(factory.destination_name(destination), tenant, file)
    pipeline: dlt.Pipeline = dlt.pipeline(
        pipeline_name(tenant),
        destination=made,
        dataset_name=factory.dataset_name(made, dataset or DATASET),
        **places,
    )
    if not pipeline.config.restore_from_destination or pipeline.dev_mode:
        key, value = ("dev_mode", "true") if pipeline.dev_mode else ("restore_from_destination", "false")
        raise UsageError(f"{key} = {value} keeps cursors out of the warehouse, and loads need them there. Remove it.")
    if pipeline.refresh:
        raise UsageError(f"refresh = {pipeline.refresh} drops the rows of all tenants in each load. Remove it.")
    target.refuse_one_name_for_two(pipeline)
    kind_of(pipeline).refuse_paths(pipeline)
    _keep_no_copies(pipeline)
    return pipeline
