"""Keep loads and copies apart that must not run at once: those of one pipeline folder, and those that write."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.destinations.exceptions import DestinationConnectionError
from filelock import FileLock, Timeout

from m365_jobs.errors.driver_messages import in_use
from m365_jobs.errors.explain import WarehouseError
from m365_jobs.locks.base import Lease, Notify, TenantLockedError
from m365_jobs.locks.wait import pause
from m365_jobs.warehouse import clients
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations.kinds import kind_of

LOCK_WAIT = 600.0
"""Seconds that a second load waits for the first."""

LOCK_POLL = 0.2
"""Seconds between two looks whether a folder, or a DuckDB file, is free."""


threads = threading.Lock()
"""Tenants of one process read side by side but write one after the other, which any destination can take."""


@contextmanager
def folder_lock(name: str, min_age: timedelta | None, notify: Notify) -> Iterator[None]:
    """Keep two loads with one pipeline folder apart; the second waits or, with ``min_age``, is refused.

    dlt clears and fills that folder from the moment a pipeline is opened.
    """
    folder = Path(get_dlt_pipelines_dir())
    folder.mkdir(parents=True, exist_ok=True)
    # Given back by another thread where log rows of several tenants are written together.
    lock = FileLock(folder / f"{name}.lock", thread_local=False)
    minutes = f"{LOCK_WAIT / 60:.0f} minutes"
    give_up, announced = time.monotonic() + LOCK_WAIT, False
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout as error:
            if min_age is not None:
                raise TenantLockedError("Another load of it is running on this machine.") from None
            if time.monotonic() > give_up:
                raise WarehouseError(
                    f"Another load of {name} has been running for more than {minutes}. "
                    "Wait for it or end it, then run this again."
                ) from error
        except OSError as error:
            # A refusal of the file system's locks names no file.
            raise OSError(error.errno, error.strerror, str(folder)) from error
        if not announced:
            notify(f"Another load of {name} is running; waiting for it (at most {minutes}).")
        announced = True
        pause(LOCK_POLL)
    with lock:
        lock.release()
        yield


@contextmanager
def write_lock(pipeline: dlt.Pipeline, lease: Lease, notify: Notify) -> Iterator[None]:
    """Keep loads apart that must not write at once, on any machine.

    A DuckDB file stays open meanwhile, which shuts out other processes. PostgreSQL has locks for such uses, which end
    with their connection. In a lake tenants write side by side, each as long as it has its lease. Other destinations
    know neither.
    """
    with threads, ExitStack() as stack:
        kind = kind_of(pipeline)
        kind.before_writing(pipeline)
        client = stack.enter_context(_connected(pipeline, notify)) if kind.stays_connected else None
        stack.enter_context(lease.writing(client))
        yield


@contextmanager
def appending_turn(pipeline: dlt.Pipeline, notify: Notify) -> Iterator[Any]:
    """Keep apart loads of this process that write, and a DuckDB file open; yield the connection, if one stays open."""
    with threads, ExitStack() as stack:
        kind = kind_of(pipeline)
        kind.before_writing(pipeline)
        yield stack.enter_context(_connected(pipeline, notify)) if kind.stays_connected else None


@contextmanager
def file_open(pipeline: dlt.Pipeline, notify: Notify) -> Iterator[Any]:
    """Keep a DuckDB file open for questions of a load outside its turn to write, once no other program has it open.

    Yields the connection, or None for another destination.
    """
    with ExitStack() as stack:
        yield stack.enter_context(_connected(pipeline, notify)) if warehouse.duckdb_file(pipeline) else None


@contextmanager
def _connected(pipeline: dlt.Pipeline, notify: Notify) -> Iterator[Any]:
    """Return a connection to the warehouse; wait while another program has a DuckDB file open."""
    give_up, announced = time.monotonic() + LOCK_WAIT, False
    client: Any = clients.sql_client(pipeline)
    while True:
        try:
            client.open_connection()
            break
        except DestinationConnectionError as error:
            if not in_use(error) or time.monotonic() > give_up:
                raise
            pause(LOCK_POLL)
            if not announced:
                minutes = f"{LOCK_WAIT / 60:.0f} minutes"
                notify(f"Another program has the warehouse open; waiting for it (at most {minutes}).")
            announced = True
    try:
        yield client
    finally:
        client.close_connection()
