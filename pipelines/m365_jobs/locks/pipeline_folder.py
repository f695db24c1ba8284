"""Lock a pipeline's folder, and the writing to a warehouse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir
from filelock import FileLock, Timeout

from m365_jobs.errors.driver_messages import in_use
from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.locks.base import Lease, TenantLockedError
from m365_jobs.terminal import Notify
from m365_jobs.waiting import retry_while
from m365_jobs.warehouse import clients
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.target import duckdb_file

LOCK_WAIT = 600.0
"""The most seconds for which a load waits for another."""

process_lock = threading.Lock()
"""Held while a load of this process writes: tenants are read in parallel and written one after the other."""


@contextmanager
def folder_lock(name: str, min_age: timedelta | None, notify: Notify) -> Iterator[None]:
    """Lock the folder of a pipeline within the block: dlt clears and fills it as soon as the pipeline is opened.

    Args:
        name: The name of the pipeline.
        min_age: If set, do not wait for another load of the folder.
        notify: Receives a line for the user when a wait begins.

    Raises:
        TenantLockedError: if another load has the lock and ``min_age`` is set.
        WarehouseError: if another load has the lock for longer than ``LOCK_WAIT``.
        OSError: if the file system refuses locks.
    """
    folder = Path(get_dlt_pipelines_dir())
    folder.mkdir(parents=True, exist_ok=True)
    # Another thread may release it, when log rows of several tenants are written together.
    lock = FileLock(folder / f"{name}.lock", thread_local=False)
    minutes = f"{LOCK_WAIT / 60:.0f} minutes"

    def announce(_error: Exception) -> None:
        notify(f"Another load of {name} is running; waiting for it (at most {minutes}).")

    try:
        retry_while(_is_held, lambda: lock.acquire(timeout=0), 0 if min_age is not None else LOCK_WAIT, announce)
    except Timeout as error:
        if min_age is not None:
            raise TenantLockedError("Another load of it is running on this machine.") from None
        raise WarehouseError(
            f"Another load of {name} has been running for more than {minutes}. "
            "Wait for it or end it, then run this again."
        ) from error
    except OSError as error:
        # The error of a file system that refuses locks names no file.
        raise OSError(error.errno, error.strerror, str(folder)) from error
    with lock:
        lock.release()
        yield


def _is_held(error: Exception) -> bool:
    return isinstance(error, Timeout)


@contextmanager
def write_lock(pipeline: dlt.Pipeline, lease: Lease, notify: Notify) -> Iterator[None]:
    """Exclude other writers within the block, on any machine, and check the tenant's lease.

    A DuckDB file stays open, which excludes other processes. PostgreSQL has advisory locks, which end with their
    connection. In a lake, tenants write in parallel, each under its lease. Other destinations have no locks.

    Raises:
        LeaseLostError: if another worker has acquired the lease in the meantime.
    """
    with process_lock, ExitStack() as stack:
        kind = kind_of(pipeline)
        kind.before_writing(pipeline)
        client = stack.enter_context(_connected(pipeline, notify)) if kind.keeps_connection else None
        stack.enter_context(lease.writing(client))
        yield


@contextmanager
def append_lock(pipeline: dlt.Pipeline, notify: Notify) -> Iterator[Any]:
    """Exclude other writers of this process within the block; yield the connection if the destination keeps one."""
    with process_lock, ExitStack() as stack:
        kind = kind_of(pipeline)
        kind.before_writing(pipeline)
        yield stack.enter_context(_connected(pipeline, notify)) if kind.keeps_connection else None


@contextmanager
def open_duckdb_file(pipeline: dlt.Pipeline, notify: Notify) -> Iterator[Any]:
    """Keep a DuckDB file open for the queries of a load, after waiting for other programs.

    Yield the connection; None for another destination.
    """
    with ExitStack() as stack:
        yield stack.enter_context(_connected(pipeline, notify)) if duckdb_file(pipeline) else None


@contextmanager
def _connected(pipeline: dlt.Pipeline, notify: Notify) -> Iterator[Any]:
    """Yield a connection to the warehouse; wait while another program has a DuckDB file open."""
    client: Any = clients.sql_client(pipeline)

    def announce(_error: Exception) -> None:
        notify(f"Another program has the warehouse open; waiting for it (at most {LOCK_WAIT / 60:.0f} minutes).")

    retry_while(in_use, client.open_connection, LOCK_WAIT, announce)
    try:
        yield client
    finally:
        client.close_connection()
