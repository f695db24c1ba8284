"""Support a lake: Delta or Iceberg tables in files, through dlt's filesystem destination (extra ``lake``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import dlt
from dlt.extract import DltResource

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.schema import LOAD_CHECK_FAILURES
from m365_jobs.warehouse.destinations.address import configured_address
from m365_jobs.warehouse.destinations.base import WarehouseDestination
from m365_jobs.warehouse.destinations.log_rows import Row

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target

LOADS = "_dlt_loads"
KEEP_LOADS = 100
"""Number of newest load records that stay; dlt keeps as many copies of the state."""


class LakeDestination(WarehouseDestination):
    """Describe files of Delta or Iceberg tables. Tenants write in parallel, each under its lease."""

    types = ("filesystem",)
    lease = "m365_jobs.locks.lake:LakeLease"
    is_lake = True

    def local_path(self, target: Target) -> Path | None:
        """Return the folder of the lake; None where it is on another machine."""
        config = target.destination_client().config
        return Path(config.make_local_path(config.bucket_url)) if config.is_local_filesystem else None

    def refuse_paths(self, target: Target) -> None:
        """Refuse paths that Delta tables cannot have, and those that no load can use."""
        super().refuse_paths(target)
        # dlt converts a path to a URL: file:///lake/50%25%20done.
        url = urlsplit(configured_address(target).host or "")
        path = unquote(url.path)
        # Delta decodes a path once more than dlt encodes it: %20 would become a space.
        if url.scheme == "file" and (forbidden := re.search(r"[\[\]]|%[0-9A-Fa-f]{2}", path)):
            raise UsageError(
                f"The lake's path {path} holds {forbidden[0]}, which Delta tables cannot have. Name another folder in "
                f"destination.{target.destination.destination_name}.bucket_url."
            )

    def adapt(self, resource: DltResource, pipeline: dlt.Pipeline) -> None:
        """Merge by key, into a table format."""
        # Arrow is a tenth of the start-up of a reader.
        from m365_jobs.warehouse.destinations import lake_merge

        lake_merge.merge_by_key(resource, pipeline)

    def before_resuming(self, pipeline: dlt.Pipeline, load_id: str, tables: Iterable[str]) -> None:
        """Delete the rows of the only table that dlt appends to in a lake; it merges all others by key.

        dlt's SQL client of a lake cannot delete.
        """
        if LOAD_CHECK_FAILURES.name in tables:
            from m365_jobs.warehouse.destinations import lake_tables

            lake_tables.delete_stored(pipeline, LOAD_CHECK_FAILURES.name, load_id)

    def after_load(self, pipeline: dlt.Pipeline, tenant: str) -> None:
        """Compact small files, rewrite files that other programs cannot filter, and remove old load records of dlt."""
        from m365_jobs.warehouse.destinations.lake_tables import DELTA, table_format

        _prune_loads(pipeline)
        if table_format(pipeline) == DELTA:
            # deltalake is an extra.
            from m365_jobs.warehouse.destinations import delta_files

            delta_files.tidy(pipeline, tenant)

    def append_rows(self, pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
        """Append to Delta tables; return false for Iceberg, whose catalog dlt creates in its own runs only."""
        from m365_jobs.warehouse.destinations.lake_tables import DELTA, table_format

        if table_format(pipeline) != DELTA:
            return False
        from m365_jobs.warehouse.destinations import delta_rows

        return delta_rows.append_to_delta(pipeline, tables)


def _prune_loads(pipeline: dlt.Pipeline) -> None:
    """Remove dlt's records of old loads: one file per load, which dlt never reads in a lake."""
    client: Any = pipeline.destination_client()
    files = sorted(client.list_table_files(LOADS), key=lambda name: name.rpartition("__")[2])
    for file in files[:-KEEP_LOADS]:
        # Another tenant's load may remove it first.
        with suppress(FileNotFoundError):
            client.fs_client.rm_file(file)
