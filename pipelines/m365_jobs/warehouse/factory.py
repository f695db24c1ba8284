"""Make dlt's factory of a destination from its name and the configuration, with absolute paths."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from zlib import crc32

import dlt
from dlt.common.configuration import configspec
from dlt.common.destination import Destination
from dlt.common.destination.configuration import ParquetFormatConfiguration
from dlt.common.destination.exceptions import DestinationException
from dlt.common.storages import WithLocalFiles
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration, DuckDbCredentials

from m365_jobs.config.default_tenant import DEFAULT_TENANT
from m365_jobs.config.program_keys import DEFAULT_DESTINATION
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.schema import SCHEMA
from m365_jobs.warehouse.cached_factory import caching_factory
from m365_jobs.warehouse.destinations.duckdb import DUCKDB_SETTINGS
from m365_jobs.warehouse.destinations.kinds import kind_of_type

DUCKDB_FILE = "m365_warehouse.duckdb"

UNCOMPRESSED: Any = ParquetFormatConfiguration(compression="none")
"""Format of the files that DuckDB reads once and that dlt deletes then: to compress them lasts 0.06 s of the 3.5 s of
100,000 jobs."""

PLAIN_NAME = re.compile("[a-z_]+(?:_?[a-z0-9]+)*")
"""Names of datasets that no naming convention of dlt changes."""

CONTROL = re.compile("[\0-\x1f]")


def project_folder() -> Path:
    """Return the folder to which relative paths of the configuration refer: the one that holds ``.dlt``."""
    return Path(os.environ.get("DLT_LOCAL_DIR") or dlt.current.run_context().run_dir).absolute()


def default_file() -> Path:
    """Return the DuckDB file that is the default warehouse."""
    return project_folder() / DUCKDB_FILE


def destination_name(destination: str | None) -> str:
    """Return the name of the destination: ``destination``, or the configured one, or duckdb."""
    configured: object = dlt.config.get("destination_type") or dlt.config.get("destination_name")
    return str(destination or configured or DEFAULT_DESTINATION)


def destination_type(destination: str | None = None) -> str:
    """Return dlt's type of the destination, such as dlt.destinations.postgres.

    Raises:
        UsageError: for an unknown destination.
    """
    kind: str = destination_factory(destination_name(destination)).destination_type
    return kind


def destination_factory(name: str, tenant: str = DEFAULT_TENANT, file: Path | None = None) -> Any:
    """Return dlt's factory of a destination, with absolute paths.

    dlt resolves relative paths against the folder in which a pipeline ran first, so two folders of a user would load
    into one warehouse. ``file`` is a DuckDB file that overrides the name.

    Raises:
        UsageError: for an unknown destination, or a path that a load would destroy or misread.
    """
    if file or name == DEFAULT_DESTINATION:
        return _with_transactions(_duckdb(file))
    try:
        factory: Any = Destination.from_reference(name)
    except DestinationException as error:
        raise UsageError(
            f"{name!r} is not a dlt destination. Use duckdb, postgres, filesystem, snowflake, bigquery, databricks, "
            "redshift, clickhouse, motherduck, mssql, athena or another that dlt documents; a name of your own needs "
            f"destination.{name}.destination_type in the configuration."
        ) from error
    layout = "staging_dataset_name_layout"
    own_layout: object = dlt.config.get(f"destination.{name}.{layout}") or dlt.config.get(f"destination.{layout}")
    datasets = kind_of_type(factory.destination_type).staging_datasets
    if datasets and tenant != DEFAULT_TENANT and not own_layout:
        # Loads that share dlt's staging tables cannot write in parallel.
        number = crc32(tenant.encode()) % datasets
        factory = Destination.from_reference(name, **{layout: f"%s_staging_{number:02}"})
    if issubclass(factory.spec, WithLocalFiles):
        # Otherwise dlt sets it to the folder of the pipeline's first run.
        factory.config_params["local_dir"] = str(project_folder())
    return _with_transactions(factory)


def _with_transactions(factory: Any) -> Any:
    """Return a caching factory whose loads delete and insert replaced rows in one transaction.

    dlt does so only if ``supports_transactions`` is set. It is unset for DuckDB, although DuckDB has transactions. dlt
    then commits the deletion alone, and a load that is killed after it loses rows.
    """
    factory = caching_factory(factory)
    known = factory.capabilities()
    if known.supports_ddl_transactions and known.supports_transactions is None:
        factory.set_capabilities(supports_transactions=True)
    return factory


@configspec(init=False)
class DuckDBConfiguration(DuckDbClientConfiguration):
    """Show a DuckDB file as its path.

    dlt puts that text into the result of each load. Its own configuration shows a URL, and imports SQLAlchemy for it
    if that is installed: 0.25 s, a tenth of a small load.
    """

    def __str__(self) -> str:
        return str(self.credentials.database)


def _duckdb(file: Path | None = None) -> Any:
    """Return the factory of DuckDB for ``file``, or the configured file, or the default one."""
    key = "destination.duckdb.credentials"
    configured: Any = dlt.config.get(key) or dlt.secrets.get(key)
    if isinstance(configured, dict):
        configured = configured.get("database")
    path = file or configured or dlt.config.get(f"{key}.database") or default_file()
    own: object = dlt.config.get(f"{key}.global_config") or dlt.secrets.get(f"{key}.global_config")
    # dlt adds the other configured credentials.
    credentials = DuckDbCredentials(global_config=None if own else DUCKDB_SETTINGS)
    if "://" in str(path):
        credentials.parse_native_representation(str(path))
    else:
        # Parsing a plain path would import SQLAlchemy as well.
        credentials.database = str(path)
    credentials.database = _absolute(str(credentials.database), key)
    factory: Any = dlt.destinations.duckdb(credentials, parquet_format=UNCOMPRESSED)
    factory.spec = DuckDBConfiguration
    return factory


def _absolute(path: str, key: str) -> str:
    if path == ":pipeline:":
        raise UsageError(
            f"{key} = {path!r} puts the warehouse into dlt's working folder, which each load empties. Name a file."
        )
    if path == ":memory:":
        raise UsageError(f"{key} = {path!r} is lost when the command ends. Name a file.")
    if "?" in path:
        raise UsageError(f"{key} = {path!r}: DuckDB ends a path at a question mark. Name another file or folder.")
    if CONTROL.search(path):
        raise UsageError(
            f"{key} = {path!r} holds a control character. Write Windows paths in single quotes: "
            "'C:\\backup\\warehouse.duckdb'."
        )
    return str(project_folder() / Path(path).expanduser())


def dataset_name(factory: Any, name: str) -> str:
    """Return the name of the dataset in the destination, after dlt's naming convention.

    Raises:
        UsageError: for a name without a letter or digit.
    """
    if PLAIN_NAME.fullmatch(name):
        return name
    if not re.search(r"\w", name.replace("_", "")):
        raise UsageError(f"Dataset {name!r} has no letter or digit. Name another with --dataset.")
    key = "enable_dataset_name_normalization"
    if dlt.config.get(f"destination.{factory.destination_name}.{key}") is False:
        return name
    naming = dlt.Schema(SCHEMA).naming
    naming.max_length = factory.capabilities().max_identifier_length
    return str(naming.normalize_table_identifier(name))
