"""Open the dlt pipeline that fills the warehouse: one for each tenant, all into one dataset."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.utils import get_resolved_traces
from dlt.common.runtime.telemetry import stop_telemetry

from m365_jobs.config.default_tenant import DEFAULT_TENANT
from m365_jobs.config.dlt_defaults import set_default
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.warehouse import factory, target
from m365_jobs.warehouse.destinations.kinds import kind_of

PIPELINE = "m365_jobs"
DEMO_TENANT = "simulated"
"""The label of the demo's rows and cursors."""
DEFAULT_LABELS = (DEFAULT_TENANT, DEMO_TENANT)
"""Labels that the user did not set, so texts leave them out."""
MAX_NAME_LENGTH = 64
"""Longest name of a pipeline: dlt names a schema after it, whose name may not be longer."""


def telemetry_off() -> None:
    """Turn dlt's anonymous telemetry off, unless the user's configuration sets it."""
    if set_default("runtime.dlthub_telemetry", False):
        # The first read of the configuration has started it.
        stop_telemetry()
        dlt.current.run_context().initialize_runtime()


def _signals_interrupt_steps() -> None:
    """Let Ctrl+C and SIGTERM interrupt dlt's steps, unless the user's configuration sets it.

    dlt records the first signal of a step in the main thread, and forgets it once the step ends well. So a copy of many
    tenants or a load in chunks would continue after Ctrl+C.
    """
    set_default("runtime.intercept_signals", False)


def clear_config_traces() -> None:
    """Clear dlt's traces of the settings that this thread has resolved.

    dlt clears them at the end of a run only. In a process that runs for days they would grow with each load and page.
    The traces refer to exceptions, whose frames refer to whole loads with their connections.
    """
    get_resolved_traces().clear()


def _truncate_staging(pipeline: dlt.Pipeline) -> None:
    """Make dlt truncate the staging tables after each load if loads share none, unless the configuration sets it.

    Otherwise the rows of the last load stay there as well: half of a DuckDB file after a first load.
    """
    key = "load.truncate_staging_dataset"
    if kind_of(pipeline).truncates_staging and dlt.config.get(key) is None:
        set_default(f"{pipeline.pipeline_name}.{key}", True)


def set_log_level(level: str) -> None:
    """Set dlt's log level, unless the configuration sets it.

    dlt logs failures with their tracebacks before it raises them, and this program reports them itself.

    Raises:
        UsageError: for an unknown level.
        ConfigurationException: if dlt cannot read the configuration.
    """
    try:
        if set_default("runtime.log_level", level):
            dlt.current.run_context().initialize_runtime()
    except ConfigurationException:
        raise
    except ValueError as error:
        known = "CRITICAL, ERROR, WARNING, INFO, DEBUG"
        raise UsageError(f"runtime.log_level: {error}. Known are: {known}.") from error


def pipeline_name(tenant: str) -> str:
    """Return the name of a tenant's pipeline."""
    if tenant == DEFAULT_TENANT:
        return PIPELINE
    plain = re.sub(r"[^A-Za-z0-9]+", "_", tenant).strip("_").lower()
    room = MAX_NAME_LENGTH - len(f"{PIPELINE}__")
    if plain != tenant or len(plain) > room:
        # Labels that differ only in punctuation, or beyond the longest name, must not share cursors.
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
    """Return the pipeline of a tenant, without connecting.

    Args:
        tenant: The tenant's label.
        destination: The name of a dlt destination; if unset, the configured one, or else DuckDB.
        dataset: The dataset; ``m365_jobs`` if unset.
        file: A DuckDB file that overrides the destination.
        folder: The folder for the pipeline's state; dlt's if unset.

    Raises:
        UsageError: for an unknown destination, a DuckDB file with the name of the dataset, or unsafe settings of dlt.
    """
    telemetry_off()
    _signals_interrupt_steps()
    folders: Any = {"pipelines_dir": str(folder)} if folder else {}
    destination_factory = factory.destination_factory(factory.destination_name(destination), tenant, file)
    pipeline: dlt.Pipeline = dlt.pipeline(
        pipeline_name(tenant),
        destination=destination_factory,
        dataset_name=factory.dataset_name(destination_factory, dataset or target.DATASET),
        **folders,
    )
    if not pipeline.config.restore_from_destination or pipeline.dev_mode:
        key, value = ("dev_mode", "true") if pipeline.dev_mode else ("restore_from_destination", "false")
        raise UsageError(f"{key} = {value} keeps cursors out of the warehouse, and loads need them there. Remove it.")
    if pipeline.refresh:
        raise UsageError(f"refresh = {pipeline.refresh} drops the rows of all tenants in each load. Remove it.")
    target.refuse_ambiguous_name(pipeline)
    kind_of(pipeline).refuse_paths(pipeline)
    _truncate_staging(pipeline)
    return pipeline
