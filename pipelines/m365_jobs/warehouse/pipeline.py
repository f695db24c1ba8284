"""Where the warehouse is, and the dlt pipeline that fills it."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary
from zlib import crc32

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import DestinationException
from dlt.common.runtime.telemetry import stop_telemetry
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from m365_jobs.errors.explain import UsageError

DATASET = "m365_jobs"
PIPELINE = "m365_jobs"
DUCKDB_FILE = "m365_warehouse.duckdb"
DEFAULT_TENANT = "default"
DEMO_TENANT = "simulated"
"""The demo's, so that its rows and cursors are nobody else's."""
UNSAID = (DEFAULT_TENANT, DEMO_TENANT)
"""Labels that nobody has chosen, and so are left out where partitions are named."""
LONGEST_NAME = 64
"""Of a pipeline: dlt calls a schema by it, which may have no longer one."""

DUCKDB_SETTINGS: Any = {"memory_limit": "250MB", "threads": 2}
"""What DuckDB takes while it loads, unless the configuration says something else; without, it fills the machine's
memory with what it has touched, and a warehouse of 1,000,000 jobs takes twice as much as one of 100,000. DuckDB asks
for 125 MB a thread at least; what does not fit it puts on disk."""

STAGING_DATASETS = 16
"""How many datasets beside the warehouse's own the merges of tenants spread over on PostgreSQL."""


_configuring = threading.Lock()
"""dlt's configuration can be written by one thread only, and each tenant's load looks after it."""


def telemetry_off() -> None:
    """Turns dlt's anonymous telemetry off, unless the user's configuration speaks of it."""
    with _configuring:
        if dlt.config.get("runtime.dlthub_telemetry") is None:
            dlt.config["runtime.dlthub_telemetry"] = False
            # dlt has started it by now, because the configuration was asked for something.
            stop_telemetry()
            dlt.current.run_context().initialize_runtime()


def _keep_no_copies(pipeline: dlt.Pipeline) -> None:
    """Empties the staging tables after each load, where loads write in turns, unless the user's configuration speaks of
    it. What the last load brought would stay there a second time: half of a DuckDB file after a first load."""
    key = "load.truncate_staging_dataset"
    if pipeline.destination.destination_type.endswith((".duckdb", ".postgres")):
        with _configuring:
            if dlt.config.get(key) is None:
                dlt.config[f"{pipeline.pipeline_name}.{key}"] = True


def log_at(level: str) -> None:
    """Has dlt log what is at least as grave as ``level``, unless the user's configuration speaks of it. dlt logs
    failures with their tracebacks before it raises them.

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


def configured_tenant() -> str:
    """The tenant that the configuration names."""
    return str(dlt.config.get("sources.avepoint_m365.tenant") or DEFAULT_TENANT)


def pipeline_name(tenant: str) -> str:
    """A pipeline for each tenant, so that each has its own cursors; all load into one dataset."""
    if tenant == DEFAULT_TENANT:
        return PIPELINE
    plain = re.sub(r"[^A-Za-z0-9]+", "_", tenant).strip("_").lower()
    room = LONGEST_NAME - len(f"{PIPELINE}__")
    if plain != tenant or len(plain) > room:
        # Two labels must not share cursors because they look alike without their punctuation or their ends.
        number = f"_{hashlib.sha256(tenant.encode()).hexdigest()[:8]}"
        plain = plain[: room - len(number)] + number
    return f"{PIPELINE}__{plain}"


def default_file() -> Path:
    """The DuckDB file that is the warehouse where nothing else is configured."""
    return Path.cwd() / DUCKDB_FILE


def open_pipeline(
    tenant: str,
    destination: str | None = None,
    dataset: str | None = None,
    file: Path | None = None,
    folder: Path | None = None,
) -> dlt.Pipeline:
    """The pipeline of a tenant; nothing is read or written yet.

    ``destination`` is the name of any dlt destination; without one it is what the configuration says
    (``destination_type``), and without that a DuckDB file in the working directory. ``file`` is a DuckDB file that
    goes before all of these. ``folder`` is where the pipeline keeps its state instead of where dlt would.

    Raises:
        UsageError: for a destination that is not known, and a DuckDB file that bears the name of the dataset.
    """
    telemetry_off()
    places: Any = {"pipelines_dir": str(folder)} if folder else {}
    name = _destination_name(destination)
    pipeline: dlt.Pipeline = dlt.pipeline(
        pipeline_name(tenant),
        destination=_replacing_at_once(_duckdb(file) if file else _destination(name, tenant)),
        dataset_name=dataset or DATASET,
        **places,
    )
    if pipeline.destination.destination_type.endswith(".duckdb"):
        _refuse_one_name_for_two(pipeline)
    _keep_no_copies(pipeline)
    return pipeline


def _refuse_one_name_for_two(pipeline: dlt.Pipeline) -> None:
    file = duckdb_file(pipeline)
    if file and file.stem.lower() == pipeline.dataset_name.lower():
        raise UsageError(
            f"The file {file} is named as the dataset {pipeline.dataset_name} is, and DuckDB cannot tell one from the "
            "other. Name the file otherwise in destination.duckdb.credentials, or another dataset with --dataset."
        )


def _replacing_at_once(destination: Any) -> Any:
    """The same destination, with the rows that a load replaces deleted and put back in one transaction.

    dlt does so only where it has on record that a destination knows transactions, which it forgot for those that know
    more: tables in transactions. DuckDB then commits the deletion by itself, and rows are missing until the next load
    where one is killed after it, or for good where that load's folder is gone as well.
    """
    known = destination.capabilities()
    if known.supports_ddl_transactions and known.supports_transactions is None:
        destination.caps_params["supports_transactions"] = True
    return destination


def destination_type(destination: str | None = None) -> str:
    """What kind of destination ``open_pipeline`` would choose, in dlt's words, such as dlt.destinations.postgres.

    Raises:
        UsageError: for a destination that is not known.
    """
    kind: str = _destination(_destination_name(destination), DEFAULT_TENANT).destination_type
    return kind


def _destination_name(destination: str | None) -> str:
    return str(destination or dlt.config.get("destination_type") or dlt.config.get("destination_name") or "duckdb")


def _destination(name: str, tenant: str) -> Any:
    if name == "duckdb":
        return _duckdb()
    try:
        found: Any = Destination.from_reference(name)
    except DestinationException as error:
        raise UsageError(
            f"{name!r} is not a dlt destination. Use duckdb, postgres, filesystem, snowflake, bigquery, databricks, "
            "redshift, clickhouse, motherduck, mssql, athena or another that dlt documents; a name of your own needs "
            f"destination.{name}.destination_type in the configuration."
        ) from error
    layout = "staging_dataset_name_layout"
    if tenant == DEFAULT_TENANT or not found.destination_type.endswith(".postgres"):
        return found
    if dlt.config.get(f"destination.{name}.{layout}") or dlt.config.get(f"destination.{layout}"):
        return found
    # Loads that share dlt's staging tables have to write one after the other.
    number = crc32(tenant.encode()) % STAGING_DATASETS
    return Destination.from_reference(name, **{layout: f"%s_staging_{number:02}"})


def _duckdb(file: Path | None = None) -> Any:
    """DuckDB at ``file``, or where the configuration says, or else in the working directory."""
    key = "destination.duckdb.credentials"
    chosen: Any = dlt.config.get(key) or dlt.secrets.get(key)
    if isinstance(chosen, dict):
        chosen = chosen.get("database")
    where = file or chosen or dlt.config.get(f"{key}.database") or default_file()
    own: object = dlt.config.get(f"{key}.global_config") or dlt.secrets.get(f"{key}.global_config")
    # What else the configuration says of credentials, dlt adds.
    credentials = DuckDbCredentials(global_config=None if own else DUCKDB_SETTINGS)
    if "://" in str(where):
        credentials.parse_native_representation(str(where))
    else:
        # For a file dlt would import SQLAlchemy, where that is installed: 0.2 s of `status`.
        credentials.database = str(where)
    return dlt.destinations.duckdb(credentials)


def location(pipeline: dlt.Pipeline) -> str:
    """Where the warehouse is, in words that name no secret: a file, or the kind of destination and its dataset.

    Nothing is connected to: this can be said of a destination that is down.
    """
    if file := duckdb_file(pipeline):
        return str(file)
    config = _destination_config(pipeline)
    credentials = getattr(config, "credentials", None)
    # Of an address only what cannot hold a password.
    host = getattr(config, "bucket_url", None) or getattr(credentials, "host", None)
    where = "/".join(str(part) for part in (host, getattr(credentials, "database", None)) if part)
    return f"{pipeline.destination.destination_name} {where}".strip()


def duckdb_file(pipeline: dlt.Pipeline) -> Path | None:
    """The file of a DuckDB warehouse; None for any other destination."""
    config = _destination_config(pipeline)
    database: Any = getattr(getattr(config, "credentials", None), "database", None)
    is_file = config.destination_type == "duckdb" and isinstance(database, str) and database != ":memory:"
    return Path(database) if is_file else None


def _destination_config(pipeline: dlt.Pipeline) -> Any:
    """What a pipeline knows of its destination. Asked once, since dlt takes ten milliseconds to resolve it: there may
    be hundreds of tenants."""
    found = _configs.get(pipeline)
    if found is None:
        found = _configs[pipeline] = pipeline.destination_client().config
    return found


_configs: WeakKeyDictionary[dlt.Pipeline, Any] = WeakKeyDictionary()


def fingerprint(pipeline: dlt.Pipeline) -> str:
    """Tells one warehouse from another, without saying where it is."""
    return hashlib.sha256(f"{location(pipeline)}\n{pipeline.dataset_name}".encode()).hexdigest()[:16]
