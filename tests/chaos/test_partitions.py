"""Test workers that lose their connection, are suspended while they write, or have wrong clocks.

No row may be lost or be replaced by an older state.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from m365_jobs.locks.base import lease_of
from m365_jobs.locks.postgres import PostgresLease

from tests.chaos.test_workers import FEW, POSTGRES, Workers, address, fleet, kind
from tests.support.cut_network import Network, network
from tests.support.project import ROOT
from tests.support.warehouse import administer

__all__ = ["address", "fleet", "kind"]

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows has no signals to stop a process with")

LOADED = (1, 7)
"""Object types that ``Workers`` load."""

SKEWED = """
import sys
from datetime import timedelta
from m365_jobs.locks import base
from tests.support.driven_clock import DrivenClock
base.LEASE_SECONDS = 9
clock = DrivenClock()
clock.set(clock.now() + timedelta(minutes=float(sys.argv.pop(1))))
from m365_jobs.cli.app import main
main()
"""
"""The command ``m365-jobs`` with a clock that is wrong by a number of minutes."""


def wait_until(reached: Callable[[], object], why: str) -> None:
    """Wait until a condition is true; fail after two minutes."""
    give_up = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < give_up, why
        time.sleep(0.05)


WAITING = """
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE datname = current_database() AND NOT granted AND locktype = '{}'
"""
"""Sessions of the test's own database that wait for a lock of a kind; other tests use the same server."""


def wait_until_one_waits(kind: str, address: str) -> None:
    """Wait until a session waits for a lock of this kind."""
    waiting = f"SELECT count(*) {WAITING.format(kind)}"
    wait_until(lambda: administer(waiting, address=address) != [(0,)], f"no worker waits for a lock: {kind}")


@contextmanager
def busy_table(address: str) -> Iterator[Callable[[], None]]:
    """Lock ``jobs`` against changes; yield a function that waits until a worker waits for the lock."""
    holder = psycopg2.connect(address)
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE m365_jobs.jobs IN EXCLUSIVE MODE")

    def wait() -> None:
        wait_until_one_waits("relation", address)

    try:
        yield wait
    finally:
        holder.close()


def change_all(workers: Workers) -> None:
    """Move the servers' clocks forward by two hours, and change a job that all workers have loaded."""
    for simulator in workers.tenants.values():
        simulator.world.advance(timedelta(hours=2))
        world = simulator.world
        ended = [job for job in world.visible() if job.object_type in LOADED and job.finished(world.now)]
        recent = max(ended, key=lambda job: job.start)
        world.change(recent.id, total=recent.total + 1)


@pytest.fixture
def cut_off(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Network, str]]:
    """Start a network to the database that the test can cut; yield it with the database's address through it."""
    parts = urlsplit(address)
    with network(parts.port or 5432) as first:
        yield first, parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{first.port}").geturl()


@POSTGRES
def test_a_worker_that_was_cut_off_while_it_wrote_takes_nothing_back(
    fleet: Callable[[int], Workers], address: str, cut_off: tuple[Network, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, (line, through) = fleet(1), cut_off
    workers.run("two", "--tenant", "tenant0")
    change_all(workers)
    with busy_table(address) as wait:
        with monkeypatch.context() as far:
            far.setenv("DESTINATION__POSTGRES__CREDENTIALS", through)
            lost = workers.start("one", "--tenant", "tenant0")
        wait()
        line.cut()
        # A PostgreSQL server ends the session of a lost connection; here the test does.
        administer(f"SELECT pg_terminate_backend(pid) {WAITING.format('relation')}", address=address)
    change_all(workers)
    workers.run("two", "--tenant", "tenant0")
    workers.check()
    line.heal()
    message = lost.communicate(timeout=600)[1]
    assert lost.returncode == 1, message
    workers.check()
    workers.run("one", "--tenant", "tenant0")
    workers.check()


@POSTGRES
def test_a_lease_that_expires_between_two_looks_is_waited_for(
    fleet: Callable[[int], Workers], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = fleet(1)
    workers.run("one", "--tenant", "tenant0")
    # The lease belongs to a worker that was killed in a load, and expires before the next worker reads the row.
    administer(
        "UPDATE m365_jobs.load_leases SET holder = 'killed', ended_at = NULL, expires_at = now() - interval '1 second'",
        address=address,
    )
    take, asked = PostgresLease._acquire, []

    def late(lease: PostgresLease, client: Any, age: float) -> bool:
        asked.append(age)
        return len(asked) > 1 and take(lease, client, age)

    monkeypatch.setattr(PostgresLease, "_acquire", late)
    with lease_of(workers.place.pipeline("tenant0"), "tenant0", "f" * 32, print) as lease:
        lease.acquire(None, 60, print)
        assert isinstance(lease, PostgresLease)
        lease.ensure_held()
    assert len(asked) == 2


@POSTGRES
def test_a_worker_that_stands_still_while_it_writes_keeps_others_from_writing(
    fleet: Callable[[int], Workers], address: str
) -> None:
    workers = fleet(1)
    workers.run("two", "--tenant", "tenant0")
    change_all(workers)
    with busy_table(address) as wait:
        sleeper = workers.start("one", "--tenant", "tenant0")
        wait()
        os.kill(sleeper.pid, signal.SIGSTOP)
    change_all(workers)
    # The lease of the suspended worker expires, but its connection stays open.
    other = workers.start("two", "--tenant", "tenant0")
    wait_until_one_waits("advisory", address)
    os.kill(sleeper.pid, signal.SIGCONT)
    for worker in (sleeper, other):
        message = worker.communicate(timeout=600)[1]
        assert worker.returncode == 0 or "another worker loads the tenant now" in message, message
    workers.run("two", "--tenant", "tenant0")
    workers.check()


def test_workers_whose_clocks_differ_by_minutes_load_each_tenant_once(fleet: Callable[[int], Workers]) -> None:
    workers = fleet(2)

    def start(machine: str, minutes: float) -> subprocess.Popen[str]:
        home = workers.folder / machine
        home.mkdir(exist_ok=True)
        command = ["load", "--all-tenants", "--skip-loaded-within", "30m", *FEW]
        return subprocess.Popen(
            [sys.executable, "-c", SKEWED, str(minutes), *command], cwd=home, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **workers.settings, "DLT_DATA_DIR": str(home / "dlt"), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    for worker in [start("slow", -2), start("fast", 2)]:
        message = worker.communicate(timeout=600)[1]
        assert worker.returncode == 0, message
    workers.check()
    assert workers.place.rows("SELECT tenant, count(*) FROM load_runs GROUP BY 1 ORDER BY 1") == [
        ("tenant0", 1),
        ("tenant1", 1),
    ]
