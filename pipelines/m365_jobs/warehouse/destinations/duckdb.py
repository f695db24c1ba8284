"""Support a DuckDB file: the open file is the lock, since only one process can write to it."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from avepoint_m365.config import SECTION
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from m365_jobs.config.program_keys import WAREHOUSE
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.warehouse import clients
from m365_jobs.warehouse.destinations.address import configured_address
from m365_jobs.warehouse.destinations.base import WarehouseDestination
from m365_jobs.warehouse.destinations.log_rows import Row
from m365_jobs.warehouse.destinations.sql_rows import prune_states

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target

STORAGE_KEY = "duckdb_storage_version"
STORAGE_VERSION = str(WAREHOUSE[STORAGE_KEY].default)
"""Storage format of a file that a load creates. DuckDB itself would use its newest format."""

DUCKDB_SETTINGS: Any = {"memory_limit": "250MB", "threads": 2}
"""Limits of DuckDB in a load, unless the configuration sets others. Without them DuckDB caches every block that it
reads: a warehouse of 1,000,000 jobs needs twice the memory of one with 100,000. DuckDB needs 125 MB per thread, and
spills the rest to disk."""

NEW_FILE_SIZE = 16_384
"""Bytes that must be free for a new file, which has 12,288."""


class DuckDBDestination(WarehouseDestination):
    """Describe a file of DuckDB, or a database in memory."""

    types = ("duckdb",)
    appends_first_load = True
    keeps_connection = True
    truncates_staging = True
    changes_tenants = True
    forbidden_in_folder = "%'"

    def database_file(self, target: Target) -> Path | None:
        """Return the file; None for a database in memory."""
        credentials = target.destination.config_params.get("credentials")
        known = isinstance(credentials, DuckDbCredentials)
        database: Any = credentials.database if known else configured_address(target).database
        return Path(database) if isinstance(database, str) and not database.startswith(":") else None

    def can_create(self, pipeline: Target) -> bool:
        """Return whether the file is missing, and neither the file system nor a setting prevents creating it.

        Only DuckDB itself checks settings of the user, by opening the file.

        Raises:
            UsageError: for a wrong storage version.
        """
        file = self.database_file(pipeline)
        if file is None or file.exists() or file.is_symlink():
            return False
        storage_version()  # A wrong version is refused before anything is requested.
        credentials: DuckDbCredentials = clients.sql_client(pipeline).credentials
        own = (credentials.extensions, credentials.pragmas, credentials.statements, credentials.local_config)
        is_usual = credentials.global_config == DUCKDB_SETTINGS and credentials.session_timezone == "UTC"
        return is_usual and not any(own) and _can_write(file.parent)

    def file_format(self, pipeline: dlt.Pipeline) -> Any:
        """Return Parquet, which DuckDB reads without a library."""
        return "parquet"

    def before_writing(self, pipeline: Target) -> None:
        """Create the file in the configured storage format, for which dlt has no setting, and closed to other users."""
        import duckdb

        file, version = self.database_file(pipeline), storage_version()
        if file and not file.exists():
            # Another process may create it first.
            with suppress(duckdb.Error):
                duckdb.connect(str(file), config={"storage_compatibility_version": version}).close()
                file.chmod(file.stat().st_mode & ~stat.S_IRWXO)

    def after_load(self, pipeline: dlt.Pipeline, tenant: str) -> None:
        """Delete old copies of the state."""
        prune_states(pipeline)

    def append_rows(self, pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
        """Append as other destinations do, if the file exists: connecting would create it."""
        return not self.lacks_file(pipeline) and super().append_rows(pipeline, tables)


def _can_write(folder: Path) -> bool:
    """Return whether a new DuckDB file can be written in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(NEW_FILE_SIZE)) == NEW_FILE_SIZE
    except OSError:
        return False


def storage_version() -> str:
    """Return the storage format of new DuckDB files, from the configuration.

    Raises:
        UsageError: for a version before v1.4.0, whose stale write-ahead logs DuckDB replays, and for one that is newer
            than the installed DuckDB.
    """
    import duckdb

    key = f"{SECTION}.{STORAGE_KEY}"
    version = str(dlt.config.get(key) or STORAGE_VERSION)
    numbers = version.removeprefix("v").split(".")
    if not all(number.isdecimal() for number in numbers) or len(numbers) != 3:
        raise UsageError(f"{key} = {version!r} is invalid. Give a version of DuckDB, such as {STORAGE_VERSION!r}.")
    if [*map(int, numbers)] < [1, 4, 0]:
        raise UsageError(
            f"{key} = {version!r} is too old: DuckDB would replay stale write-ahead logs. Use {STORAGE_VERSION!r} or "
            "a newer one."
        )
    if [*map(int, numbers)] > [*map(int, duckdb.__version__.split(".")[:3])]:
        raise UsageError(f"{key} = {version!r} is newer than the installed DuckDB {duckdb.__version__}.")
    return f"v{'.'.join(numbers)}"
