"""Keep workers apart that share nothing but the warehouse: no tenant is loaded by two at once.

PostgreSQL and lakes keep a lease for each tenant, which expires if its holder does not renew it. A DuckDB file is a
lock by itself. Other destinations have neither: let one machine load at a time there.
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

from m365_jobs.errors.explain import UsageError, WarehouseError, explain
from m365_jobs.locks.wait import pause
from m365_jobs.text import format_count
from m365_jobs.warehouse.destinations.kinds import kind_of, kind_of_type
from m365_jobs.warehouse.remembered import guarding

T = TypeVar("T")

SECONDS = 60.0
"""How long a lease lasts that nobody renews. Its holder renews it every third of that."""

POLL = 1.0
"""Seconds between two looks whether a lease is free."""

Notify = Callable[[str], None]


class TenantLockedError(WarehouseError):
    """Report that another worker is loading the tenant, or has just done so."""


class LeaseLostError(WarehouseError, DestinationTerminalException):
    """Report that another worker has taken the lease. dlt does not repeat a job that ends with it."""


def has_leases(destination_type: str) -> bool:
    """Return whether a destination of that type can keep leases."""
    return bool(kind_of_type(destination_type).lease)


def refuse_age(min_age: timedelta | None, destination_type: str) -> None:
    """Refuse an age above 0 for a destination without leases, which does not know when a load ended.

    Raises:
        UsageError: saying what it is for.
    """
    if min_age and not has_leases(destination_type):
        raise UsageError("--skip-loaded-within is for workers that share a warehouse in PostgreSQL or a lake.")


class Lease:
    """Stand in for a lease if the warehouse keeps none: any worker gets it."""

    def take(self, min_age: timedelta | None, patience: float, notify: Notify) -> None:
        """Acquire the lease before anything is read.

        With ``min_age``, refuse if another worker has it, or gave it back less than that ago. Without, wait for it at
        most ``patience`` seconds.

        Raises:
            UsageError: for an age above 0, where the warehouse has no leases.
        """
        refuse_age(min_age, "")

    @contextmanager
    def writing(self, client: Any) -> Iterator[None]:
        """Wait until the holder may write, and check that the lease is still its own.

        Everything is written inside the block. A connection is open if the destination has such.

        Raises:
            WarehouseError: where another worker has taken the lease meanwhile.
        """
        yield

    def may_append(self, client: Any) -> bool:
        """Return whether the holder, with an open connection where the destination has such, may add log rows now."""
        return True

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


class RenewableLease(Lease, ABC):
    """Share what all kinds of lease have in common: waiting for it, and a thread that renews it."""

    def __init__(self, pipeline: dlt.Pipeline, tenant: str, run_id: str, notify: Notify) -> None:
        self._pipeline, self._tenant, self._run_id, self._notify = pipeline, tenant, run_id, notify
        self._holder = f"{socket.gethostname()}, process {os.getpid()}, run {run_id[:8]}"
        self._ended, self._renewing = threading.Event(), threading.Thread(target=self._go_on_renewing, daemon=True)
        self._held_until = 0.0
        """Until when no other worker can have taken the lease, by a clock that nobody sets."""

    @abstractmethod
    def _try(self, age: float) -> str:
        """Acquire the lease, or return the reason for a failure; ``age`` in seconds as in ``take``."""

    @abstractmethod
    def _renew(self, client: Any = None) -> bool:
        """Renew the lease, with an open connection if there is one; return false if another worker has it."""

    @abstractmethod
    def _give_back(self) -> None:
        """End the lease, unless another worker has it."""

    def take(self, min_age: timedelta | None, patience: float, notify: Notify) -> None:
        """Acquire the lease, and renew it in a thread from then on."""
        age, give_up, announced = (min_age or timedelta()).total_seconds(), time.monotonic() + patience, False
        while busy := self._timed(lambda: self._try(age)):
            if min_age is not None:
                raise TenantLockedError(busy)
            if time.monotonic() > give_up:
                raise TenantLockedError(
                    f"{busy} Waited {format_count(round(patience / 60), 'minute')} for it. "
                    "End that load, then run this again."
                )
            if not announced:
                notify(f"{busy} Waiting for it (at most {format_count(round(patience / 60), 'minute')}).")
            announced = True
            pause(POLL)
        self._renewing.start()

    def _timed(self, ask: Callable[[], T]) -> T:
        """Return what ``ask`` returns. If it acquires or renews the lease, that holds from before it was asked."""
        began, answer = time.monotonic(), ask()
        if answer in ("", True):
            self._held_until = began + SECONDS
        return answer

    def ensure_held(self, client: Any = None) -> None:
        """Refuse to go on without the lease.

        Raises:
            LeaseLostError: where another worker has taken the lease meanwhile.
        """
        if time.monotonic() > self._held_until and not self._timed(lambda: self._renew(client)):
            self._lost()

    def _lost(self) -> NoReturn:
        raise LeaseLostError(
            f"This load of tenant {self._tenant} stood still for so long that another took its place, so it wrote no "
            "more. Nothing is lost: the other, or the next, loads the same jobs."
        )

    def guard(self, client: Any) -> Any:
        """Return a client of dlt that begins no job of a package without the lease.

        dlt repeats what a lost connection broke, with new connections, which have none of the locks of the first.
        """
        create = client.create_load_job

        def create_guarded(*arguments: Any, **named: Any) -> Any:
            self.ensure_held()
            return create(*arguments, **named)

        client.create_load_job = create_guarded
        return client

    def _running(self, holder: str) -> str:
        return f"Another load of tenant {self._tenant} is running ({holder})."

    def _too_young(self, seconds: float) -> str:
        return f"The last load of tenant {self._tenant} ended {format_count(round(seconds), 'second')} ago."

    def _go_on_renewing(self) -> None:
        while not self._ended.wait(SECONDS / 3):
            try:
                self._timed(self._renew)
            except Exception as error:
                # Whether the lease outlived this is seen before anything is written.
                self._notify(f"The lease of tenant {self._tenant} could not be renewed yet. {explain(error).text}")

    def _kept_apart(self, client: Any) -> AbstractContextManager[None]:
        """Wait for loads of other tenants that must not write at the same time."""
        return nullcontext()

    @contextmanager
    def writing(self, client: Any) -> Iterator[None]:
        """Refuse to write without the lease, before and after waiting for loads of other tenants."""
        if not self._renewing.is_alive():
            # Interrupted while it waited, say. In a lake a renewal would be taken for a lease: it would rob the holder.
            raise WarehouseError(f"This load never had the lease of tenant {self._tenant}, so it wrote nothing.")
        with self._kept_apart(client):
            self._held_until = 0.0
            self.ensure_held(client)
            with guarding(self._pipeline.destination, self.guard):
                yield

    def may_append(self, client: Any) -> bool:
        """Return whether the lease, renewed for the purpose, still belongs to its holder."""
        return self._renewing.is_alive() and self._renew(client)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._renewing.is_alive():
            return
        self._ended.set()
        self._renewing.join()
        try:
            self._give_back()
        except Exception as error:
            why = explain(error).text
            self._notify(f"The lease of tenant {self._tenant} ends within {SECONDS:.0f} seconds, not at once. {why}")


def lease_of(pipeline: dlt.Pipeline, tenant: str, run_id: str, notify: Notify) -> Lease:
    """Yield the lease of a tenant in the pipeline's warehouse, not acquired yet; give it back at the end."""
    module, _, name = kind_of(pipeline).lease.partition(":")
    if not module:
        return Lease()
    # Each kind brings libraries that the others do not need.
    lease: Lease = getattr(import_module(module), name)(pipeline, tenant, run_id, notify)
    return lease
