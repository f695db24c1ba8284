"""Finish what an earlier load left in the pipeline's folder, and forget cursors whose rows are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import dlt
from dlt.common.destination.client import StateInfo, WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.storages.exceptions import LoadPackageAlreadyCompleted
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.pipeline.exceptions import PipelineStepFailed

from m365_jobs.errors.driver_messages import needs_smaller_chunks
from m365_jobs.errors.explain import explain
from m365_jobs.load import first_rows
from m365_jobs.load.known_jobs import WarehouseLookup
from m365_jobs.locks.base import Notify
from m365_jobs.warehouse import clients, contract
from m365_jobs.warehouse import pipeline as warehouse

MARK = "warehouse"
"""A file in a pipeline's folder; see ``mark``."""

STEP = 8
"""By what chunks get smaller each time that a package is too large for the destination."""

FAILED = "failures"
"""A file in a pipeline's folder: how often what is pending there has failed."""

FAILURES = 5
"""How often a package may fail, its own load included, before its jobs are read again: something in it is what the
destination refuses, and all services would wait for it for ever."""


def finish_pending(pipeline: dlt.Pipeline, notify: Notify) -> datetime | None:
    """Load packages that an earlier load left, then read state and schema from the destination.

    Return the time (UTC) since which the loaded rows were fetched; None if nothing was loaded.

    The destination's cursors are the ones that match its rows: a working directory may have seen another warehouse
    since, or a newer copy of this one. So what was read but not made ready to load is dropped, and read again from
    there: dlt cannot go on where it was killed right after it had made a package ready.

    Raises:
        WarehouseError: before anything is loaded, if a newer version of this program has loaded into the warehouse.
    """
    contract.refuse_newer_series(pipeline)
    folder = Path(pipeline.working_dir)
    since = None
    ready, read = _packages(pipeline.list_normalized_load_packages), _packages(pipeline.list_extracted_load_packages)
    cut_short = bool(ready) and first_rows.is_appending(pipeline)
    if ready or read:
        if not _is_marked(pipeline):
            notify(
                "Dropping what an interrupted load had read for another warehouse; that one's next load reads it again."
            )
        elif ready and _others_loaded_since(pipeline, ready):
            # It would put back jobs as they were then, behind the cursors of the loads that have been made since.
            notify(
                "Dropping what an interrupted load had read: another machine has loaded since. If it was a backfill, "
                "run that again."
            )
        elif cut_short:
            notify("An earlier load was interrupted while it wrote; reading that again.")
        elif ready:
            notify("An earlier load was interrupted; finishing what it had read.")
            since = min(pipeline.get_load_package_state(load_id)["created_at"] for load_id in ready)
            if not _load_what_is_ready(pipeline, notify):
                since = None
        else:
            notify("An earlier load was interrupted while it read; reading that again.")
    # A folder without its state counts as new, however much of it a process that is killed in here leaves.
    (folder / pipeline.STATE_FILE).unlink(missing_ok=True)
    pipeline.drop()
    pipeline.activate()
    pipeline.sync_destination()
    contract.ensure_ours(pipeline)
    mark(pipeline)
    if cut_short:
        first_rows.merge_next(pipeline)
    return since


def start_over_without_rows(pipeline: dlt.Pipeline, tenant: str, notify: Notify) -> None:
    """Forget cursors whose rows are gone.

    dlt's ``drop`` of a single resource drops the tables of all partitions and tenants, but no cursor except its own.
    """
    sources = pipeline.state.get("sources", {})
    if not sources.get(contract.SCHEMA) or WarehouseLookup(pipeline, tenant, notify).was_loaded():
        return
    notify(f"The warehouse no longer holds what was loaded before of {tenant}; reading everything again.")
    with pipeline.managed_state() as state:
        del state["sources"][contract.SCHEMA]


def is_any(pipeline: dlt.Pipeline) -> bool:
    """Return whether an interrupted load left packages in the pipeline's folder."""
    return bool(_packages(pipeline.list_normalized_load_packages) or _packages(pipeline.list_extracted_load_packages))


def mark(pipeline: dlt.Pipeline) -> None:
    """Keep, beside the packages of a load, their warehouse and the version of its cursors that they continue."""
    text = f"{warehouse.fingerprint(pipeline)} {_version(stored_state(pipeline))}"
    (Path(pipeline.working_dir) / MARK).write_text(text, encoding="utf-8")


def _marked(pipeline: dlt.Pipeline) -> tuple[str, int]:
    """Return what ``mark`` kept; an empty text and 0 if it kept nothing."""
    mark = Path(pipeline.working_dir) / MARK
    name, _, version = mark.read_text(encoding="utf-8").partition(" ") if mark.exists() else ("", "", "")
    return name, int(version or 0)


def _is_marked(pipeline: dlt.Pipeline) -> bool:
    """Return whether the packages are for the warehouse in its present state.

    A new warehouse, or an older copy, lacks rows that lie before their cursors.
    """
    name, version = _marked(pipeline)
    return name == warehouse.fingerprint(pipeline) and version <= _version(stored_state(pipeline))


def _others_loaded_since(pipeline: dlt.Pipeline, ready: Sequence[str]) -> bool:
    """Return whether another load has moved the warehouse's cursors.

    A package may have moved them itself: a load killed right after it was loaded leaves it in the folder.
    """
    stored = stored_state(pipeline)
    return _version(stored) > _marked(pipeline)[1] and stored is not None and stored._dlt_load_id not in ready


def stored_state(pipeline: dlt.Pipeline) -> StateInfo | None:
    """Return dlt's state, cursors included, as the warehouse has it; None if it has none."""
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


def _load_what_is_ready(pipeline: dlt.Pipeline, notify: Notify) -> bool:
    """Load the packages that are ready; return false where they are to be read again instead.

    Raises:
        PipelineStepFailed: where the destination refuses them for now.
    """
    try:
        pipeline.load()
    except PipelineStepFailed as error:
        # Killed between the end of a package and its move to the loaded ones, which dlt does not make up for.
        if isinstance(error.exception, LoadPackageAlreadyCompleted):
            return True
        reason = explain(error).text
        if needs_smaller_chunks(reason):
            divisor = _ask_for_smaller_chunks(pipeline)
            notify(f"Package failed twice: {reason} Reading its jobs again in chunks of 1/{divisor} of the usual size.")
        elif isinstance(error.exception, DestinationConnectionError) or _failures(pipeline) < FAILURES:
            raise
        else:
            notify(f"Package failed {FAILURES} times: {reason} Dropping it and reading its jobs again.")
        return False
    return True


def chunk_divisor(pipeline: dlt.Pipeline) -> int:
    """Return by what to divide the size of chunks: more than 1 after a package was too large for the destination.

    It stays for later loads of the tenant on this machine, whose jobs are of the same kind.
    """
    return _number(_smaller(pipeline))


def _smaller(pipeline: dlt.Pipeline) -> Path:
    """Return the file that keeps the divisor: beside the pipeline's folder, which ``finish`` empties."""
    return Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.chunk_divisor"


def _ask_for_smaller_chunks(pipeline: dlt.Pipeline) -> int:
    divisor = chunk_divisor(pipeline) * STEP
    _smaller(pipeline).write_text(str(divisor), encoding="utf-8")
    return divisor


def _failures(pipeline: dlt.Pipeline) -> int:
    """Count one more failure of what is pending and return how often it has failed, its own load's included."""
    file = Path(pipeline.working_dir) / FAILED
    failures = _number(file) + 1
    file.write_text(str(failures), encoding="utf-8")
    return failures


def _number(file: Path) -> int:
    """Return the number in a file; 1 where there is none, or a crash left it empty."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return int(text) if text.isdecimal() else 1
