"""Finish the pending packages of an interrupted load, and drop cursors whose rows are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import dlt
from dlt.common.destination.client import StateInfo, WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.storages import LoadStorage, PackageStorage, ParsedLoadJobFileName
from dlt.common.storages.exceptions import LoadPackageAlreadyCompleted
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.pipeline.exceptions import PipelineStepFailed

from m365_jobs.errors.driver_messages import needs_smaller_chunks
from m365_jobs.errors.explain import explain
from m365_jobs.load import first_rows
from m365_jobs.load.known_jobs import WarehouseLookup
from m365_jobs.schema import SCHEMA
from m365_jobs.terminal import Notify
from m365_jobs.warehouse import clients, contract
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.target import fingerprint, lacks_file

MARK = "warehouse"
"""Name of the file that ``mark`` writes into a pipeline's folder."""

DIVISOR_STEP = 8
"""Factor by which chunks get smaller each time that a package is too large for the destination."""

FAILURE_COUNT = "failures"
"""Name of the file in a pipeline's folder with the number of failures of its pending packages."""

MAX_FAILURES = 5
"""Failures of a package, that of its own load included, after which it is dropped and its jobs are read again. The
destination refuses something in it, which would block all services of the tenant."""


def finish_pending(pipeline: dlt.Pipeline, tenant: str, notify: Notify) -> datetime | None:
    """Load the pending packages that are ready, drop the others, and read state and schema from the destination.

    The destination's cursors match its rows. Those of the working directory may not: it may have been used with
    another warehouse, or with a newer copy. Packages that are not ready are read again: dlt cannot resume a load that
    was killed right after it had made a package ready.

    Returns:
        The time (UTC) since which the loaded rows were fetched; None if nothing was loaded.

    Raises:
        WarehouseError: before anything is loaded, if a newer version of this program has loaded into the warehouse.
        PipelineStepFailed: if the destination refuses a package for now.
    """
    contract.refuse_newer_series(pipeline)
    since = None
    ready, read = _packages(pipeline.list_normalized_load_packages), _packages(pipeline.list_extracted_load_packages)
    cut_short = bool(ready) and first_rows.is_appending(pipeline)
    if ready or read:
        if not _is_marked(pipeline):
            notify(
                "Dropping what an interrupted load had read for another warehouse; that one's next load reads it again."
            )
        elif ready and _others_loaded_since(pipeline, ready):
            # The package would restore old values of jobs that lie behind the cursors of the later loads.
            notify(
                "Dropping what an interrupted load had read: another machine has loaded since. If it was a backfill, "
                "run that again."
            )
        elif cut_short:
            notify("An earlier load was interrupted while it wrote; reading that again.")
        elif ready:
            notify("An earlier load was interrupted; finishing what it had read.")
            since = min(pipeline.get_load_package_state(load_id)["created_at"] for load_id in ready)
            _prepare_resuming(pipeline, ready)
            if not _load_what_is_ready(pipeline, notify):
                since = None
        else:
            notify("An earlier load was interrupted while it read; reading that again.")
    _empty_folder(pipeline)
    pipeline.sync_destination()
    contract.refuse_foreign_dataset(pipeline)
    mark(pipeline)
    if cut_short:
        first_rows.merge_next(pipeline)
    _start_over_without_rows(pipeline, tenant, notify)
    return since


def begin_new_file(pipeline: dlt.Pipeline) -> bool:
    """Drop what the folder has of another warehouse; return false if the warehouse has to be opened beforehand.

    Each opening of a DuckDB file lasts 12 ms, and one that the first rows will create holds nothing to read.
    """
    if not kind_of(pipeline).can_create(pipeline) or has_pending(pipeline):
        return False
    _empty_folder(pipeline)
    mark(pipeline)
    return True


def _empty_folder(pipeline: dlt.Pipeline) -> None:
    # Without its state file the folder counts as new, also if the process is killed before it is dropped.
    (Path(pipeline.working_dir) / pipeline.STATE_FILE).unlink(missing_ok=True)
    pipeline.drop()
    pipeline.activate()


def _start_over_without_rows(pipeline: dlt.Pipeline, tenant: str, notify: Notify) -> None:
    """Drop the cursors of a tenant whose rows are gone.

    dlt's ``drop`` of one resource drops the tables of all partitions and tenants, but only its own cursor.
    """
    sources = pipeline.state.get("sources", {})
    if not sources.get(SCHEMA) or WarehouseLookup(pipeline, tenant, notify).was_loaded():
        return
    notify(f"The warehouse no longer holds what was loaded before of {tenant}; reading everything again.")
    with pipeline.managed_state() as state:
        del state["sources"][SCHEMA]


def has_pending(pipeline: dlt.Pipeline) -> bool:
    """Return whether an interrupted load left packages in the pipeline's folder."""
    return bool(_packages(pipeline.list_normalized_load_packages) or _packages(pipeline.list_extracted_load_packages))


def mark(pipeline: dlt.Pipeline) -> None:
    """Store the warehouse of the packages, and the version of its cursors from which they continue."""
    text = f"{fingerprint(pipeline)} {_version(stored_state(pipeline))}"
    (Path(pipeline.working_dir) / MARK).write_text(text, encoding="utf-8")


class _Mark(NamedTuple):
    """Hold what ``mark`` stores: the fingerprint of a warehouse, and the version of its cursors."""

    warehouse: str = ""
    version: int = 0


def _stored_mark(pipeline: dlt.Pipeline) -> _Mark:
    file = Path(pipeline.working_dir) / MARK
    if not file.exists():
        return _Mark()
    warehouse, _, version = file.read_text(encoding="utf-8").partition(" ")
    return _Mark(warehouse, int(version or 0))


def _is_marked(pipeline: dlt.Pipeline) -> bool:
    """Return whether the packages belong to the warehouse in its present state.

    A new warehouse, or an older copy of it, lacks rows that lie before the packages' cursors.
    """
    mark = _stored_mark(pipeline)
    return mark.warehouse == fingerprint(pipeline) and mark.version <= _version(stored_state(pipeline))


def _others_loaded_since(pipeline: dlt.Pipeline, ready: Sequence[str]) -> bool:
    """Return whether another load has moved the warehouse's cursors.

    A package in ``ready`` may have moved them itself: a load that is killed after loading leaves it in the folder.
    """
    stored = stored_state(pipeline)
    return _version(stored) > _stored_mark(pipeline).version and stored is not None and stored._dlt_load_id not in ready


def stored_state(pipeline: dlt.Pipeline) -> StateInfo | None:
    """Return dlt's state from the warehouse, cursors included; None if it has none."""
    if lacks_file(pipeline):
        return None
    with clients.destination_client(pipeline) as client:
        try:
            return client.get_stored_state(pipeline.pipeline_name) if isinstance(client, WithStateSync) else None
        except DestinationUndefinedEntity:
            return None


def _version(state: StateInfo | None) -> int:
    return state.version if state else 0


def _packages(listing: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Return the load packages of a pipeline's folder; none if dlt was killed while it made that folder."""
    try:
        return listing()
    except FileNotFoundError:
        return []


def _prepare_resuming(pipeline: dlt.Pipeline, ready: Sequence[str]) -> None:
    """Prepare the destination for the files that dlt loads again, because their loading was cut short or failed."""
    for load_id in ready:
        _remove_cut_copies(pipeline, load_id)
        files = (ParsedLoadJobFileName.parse(file) for file, _ in pipeline.list_pending_retry_jobs_in_package(load_id))
        # The other files are the SQL of merges: they read the staging tables, and may be run twice.
        names = {file.table_name for file in files if file.file_format != "sql"}
        tables = pipeline.get_load_package_info(load_id).schema.tables
        with_id = sorted(name for name in names if "_dlt_load_id" in tables.get(name, {}).get("columns", {}))
        kind_of(pipeline).before_resuming(pipeline, load_id, with_id)


def _remove_cut_copies(pipeline: dlt.Pipeline, load_id: str) -> None:
    """Remove files that dlt was copying into a package when it was killed; it makes them again.

    dlt moves the SQL of a merge from the temporary folder. On another file system it copies it, under a name without an
    extension. dlt refuses each package that has such a file.
    """
    folder = Path(pipeline.working_dir) / "load" / LoadStorage.NORMALIZED_FOLDER / load_id
    for file in (folder / PackageStorage.NEW_JOBS_FOLDER).iterdir():
        if not file.suffix:
            file.unlink()


def _load_what_is_ready(pipeline: dlt.Pipeline, notify: Notify) -> bool:
    """Load the packages that are ready; return false if their jobs are to be read again instead.

    Raises:
        PipelineStepFailed: if the destination refuses a package for now.
    """
    try:
        pipeline.load()
    except PipelineStepFailed as error:
        # The load was killed after the package was loaded and before it was moved; dlt does not handle that.
        if isinstance(error.exception, LoadPackageAlreadyCompleted):
            return True
        reason = explain(error).text
        if needs_smaller_chunks(reason):
            divisor = _raise_chunk_divisor(pipeline)
            notify(f"Package failed twice: {reason} Reading its jobs again in chunks of 1/{divisor} of the usual size.")
        elif isinstance(error.exception, DestinationConnectionError) or _count_failure(pipeline) < MAX_FAILURES:
            raise
        else:
            notify(f"Package failed {MAX_FAILURES} times: {reason} Dropping it and reading its jobs again.")
        return False
    return True


def chunk_divisor(pipeline: dlt.Pipeline) -> int:
    """Return the divisor of the chunk size; above 1 after a package was too large for the destination.

    It stays for later loads of the tenant on this machine.
    """
    return _number(_divisor_file(pipeline))


def _divisor_file(pipeline: dlt.Pipeline) -> Path:
    """Return the file with the divisor; it is beside the pipeline's folder, which ``finish_pending`` empties."""
    return Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.chunk_divisor"


def _raise_chunk_divisor(pipeline: dlt.Pipeline) -> int:
    divisor = chunk_divisor(pipeline) * DIVISOR_STEP
    _divisor_file(pipeline).write_text(str(divisor), encoding="utf-8")
    return divisor


def _count_failure(pipeline: dlt.Pipeline) -> int:
    """Add a failure of the pending packages; return their number, that of their own load included."""
    file = Path(pipeline.working_dir) / FAILURE_COUNT
    failures = _number(file) + 1
    file.write_text(str(failures), encoding="utf-8")
    return failures


def _number(file: Path) -> int:
    """Return the number in a file; 1 without a file, or if a crash left it empty."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return int(text) if text.isdecimal() else 1
