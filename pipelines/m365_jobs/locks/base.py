"""Define leases: the right of one worker to load a tenant, for workers that share only the warehouse.

PostgreSQL and lakes store a lease for each tenant, which expires if its holder does not renew it. An open DuckDB file
is a lock. Other destinations have neither, so only one machine may load into them at a time.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import dlt
from dlt.common.destination.exceptions import DestinationTerminalException

from m365_jobs.errors.exceptions import UsageError, WarehouseError
from m365_jobs.errors.explain import explain
from m365_jobs.terminal import Notify
from m365_jobs.text import format_count
from m365_jobs.waiting import retry_while
from m365_jobs.warehouse.cached_factory import guard_clients
from m365_jobs.warehouse.destinations.kinds import kind_of, kind_of_type

T = TypeVar("T")

LEASE_SECONDS = 60.0
"""Seconds after which a lease expires. Its holder renews it three times as often."""

POLL = 1.0
"""Seconds between two attempts to acquire a lease."""


class TenantLockedError(WarehouseError):
    """Report that another worker loads the tenant, or has loaded it within ``min_age``."""


class LeaseLostError(WarehouseError, DestinationTerminalException):
    """Report that another worker has acquired the lease. dlt does not retry a job that raises it."""


def has_leases(destination_type: str) -> bool:
    """Return whether a type of destination can store leases."""
    return bool(kind_of_type(destination_type).lease)


def refuse_min_age(min_age: timedelta | None, destination_type: str) -> None:
    """Refuse an age above 0 for a destination without leases, which does not store the end of a load.

    Raises:
        UsageError: naming the destinations that store it.
    """
    if min_age and not has_leases(destination_type):
        raise UsageError("--skip-loaded-within is for workers that share a warehouse in PostgreSQL or a lake.")


class Lease:
    """Stand in for a lease if the warehouse stores none: any worker acquires it."""

    def acquire(self, min_age: timedelta | None, patience: float, notify: Notify) -> None:
        """Acquire the lease; a load does so before it reads anything.

        Args:
            min_age: If set, do not wait; the last load must have ended at least this long ago.
            patience: The most seconds to wait for another worker, if ``min_age`` is unset.
            notify: Receives a line for the user when the wait begins.

        Raises:
            TenantLockedError: if another worker holds the lease, or has loaded the tenant within ``min_age``.
            UsageError: for an age above 0 if the warehouse has no leases.
        """
        refuse_min_age(min_age, "")

    @contextmanager
    def writing(self, client: Any) -> Iterator[None]:
        """Wait for other writers, check that the lease is still held, and yield; write inside the block.

        ``client`` is an open connection; None if the destination keeps none.

        Raises:
            LeaseLostError: if another worker has acquired the lease in the meantime.
        """
        yield

    def may_append(self, client: Any) -> bool:
        """Return whether the lease is still held, so that log rows may be appended; ``client`` as for ``writing``."""
        return True

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


class RenewableLease(Lease, ABC):
    """Wait for a lease, renew it in a thread, and check it before each write; subclasses store it."""

    def __init__(self, pipeline: dlt.Pipeline, tenant: str, run_id: str, notify: Notify) -> None:
        self._pipeline, self._tenant, self._run_id, self._notify = pipeline, tenant, run_id, notify
        self._holder = f"{socket.gethostname()}, process {os.getpid()}, run {run_id[:8]}"
        self._ended, self._renewing = threading.Event(), threading.Thread(target=self._renew_periodically, daemon=True)
        self._held_until = 0.0
        """Time of the monotonic clock until which no other worker can acquire the lease."""

    @abstractmethod
    def _try_acquire(self, age: float) -> str:
        """Acquire the lease and return an empty text, or return why not. ``age`` is ``min_age`` in seconds."""

    @abstractmethod
    def _renew(self, client: Any = None) -> bool:
        """Renew the lease, through ``client`` if it is set; return false if another worker holds it."""

    @abstractmethod
    def _release(self) -> None:
        """Release the lease, unless another worker holds it."""

    def acquire(self, min_age: timedelta | None, patience: float, notify: Notify) -> None:
        """Acquire the lease and start the thread that renews it."""
        age, minutes = (min_age or timedelta()).total_seconds(), format_count(round(patience / 60), "minute")

        def attempt() -> None:
            if reason := self._extending(lambda: self._try_acquire(age)):
                raise TenantLockedError(reason)

        def announce(error: Exception) -> None:
            notify(f"{error} Waiting for it (at most {minutes}).")

        if min_age is not None:
            attempt()
        else:
            try:
                retry_while(_is_locked, attempt, patience, announce, POLL)
            except TenantLockedError as error:
                advice = "End that load, then run this again."
                raise TenantLockedError(f"{error} Waited {minutes} for it. {advice}") from None
        self._renewing.start()

    def _extending(self, attempt: Callable[[], T]) -> T:
        """Return the result of an attempt to acquire or renew; a success extends the lease from the attempt's start."""
        began, result = time.monotonic(), attempt()
        if result in ("", True):
            self._held_until = began + LEASE_SECONDS
        return result

    def ensure_held(self, client: Any = None) -> None:
        """Check that the lease is held; renew it if it may have expired.

        Raises:
            LeaseLostError: if another worker has acquired it in the meantime.
        """
        if time.monotonic() > self._held_until and not self._extending(lambda: self._renew(client)):
            self._lost()

    def _lost(self) -> NoReturn:
        raise LeaseLostError(
            f"Lease lost: this load of tenant {self._tenant} was suspended, and another worker loads the tenant now. "
            "It wrote nothing afterwards, and nothing is lost: the other load, or the next one, reads the same jobs."
        )

    def guard(self, client: Any) -> Any:
        """Return a client of dlt that starts no job of a package without the lease.

        After a lost connection dlt retries with new ones, which hold none of the first one's locks.
        """
        create = client.create_load_job

        def create_guarded(*arguments: Any, **named: Any) -> Any:
            self.ensure_held()
            return create(*arguments, **named)

        client.create_load_job = create_guarded
        return client

    def _running(self, holder: str) -> str:
        return f"Another load of tenant {self._tenant} is running ({holder})."

    def _loaded_recently(self, seconds: float) -> str:
        return f"The last load of tenant {self._tenant} ended {format_count(round(seconds), 'second')} ago."

    def _renew_periodically(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / 3):
            try:
                self._extending(self._renew)
            except Exception as error:
                # The lease is checked before each write, so an expired one does no harm.
                self._notify(f"The lease of tenant {self._tenant} could not be renewed yet. {explain(error).text}")

    def _exclude_other_writers(self, client: Any) -> AbstractContextManager[None]:
        """Return a context that excludes loads of other tenants which must not write at the same time."""
        return nullcontext()

    @contextmanager
    def writing(self, client: Any) -> Iterator[None]:
        """Exclude other writers and check the lease within the block; see ``Lease.writing``."""
        if not self._renewing.is_alive():
            # The wait for the lease may have been interrupted. In a lake a renewal would overwrite the holder's lease.
            raise WarehouseError(f"This load never had the lease of tenant {self._tenant}, so it wrote nothing.")
        with self._exclude_other_writers(client):
            self._held_until = 0.0
            self.ensure_held(client)
            with guard_clients(self._pipeline.destination, self.guard):
                yield

    def may_append(self, client: Any) -> bool:
        """Renew the lease; return false if another worker holds it."""
        return self._renewing.is_alive() and self._renew(client)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._renewing.is_alive():
            return
        self._ended.set()
        self._renewing.join()
        try:
            self._release()
        except Exception as error:
            why = explain(error).text
            self._notify(
                f"The lease of tenant {self._tenant} ends within {LEASE_SECONDS:.0f} seconds, not at once. {why}"
            )


def _is_locked(error: Exception) -> bool:
    return isinstance(error, TenantLockedError)


def lease_of(pipeline: dlt.Pipeline, tenant: str, run_id: str, notify: Notify) -> Lease:
    """Return the lease of a tenant, not acquired yet, as a context manager that releases it."""
    module, _, name = kind_of(pipeline).lease.partition(":")
    if not module:
        return Lease()
    # Each kind of lease imports libraries that the others do not need.
    lease: Lease = getattr(import_module(module), name)(pipeline, tenant, run_id, notify)
    return lease
