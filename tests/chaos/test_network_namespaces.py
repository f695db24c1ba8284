"""Test a worker whose packets to PostgreSQL are lost: no row is lost or overwritten, and each worker ends.

The worker runs in a network namespace of its own. Other workers reach PostgreSQL at all times.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.chaos.test_concurrency import Gate
from tests.chaos.test_partitions import busy_table, change_all, wait_until
from tests.chaos.test_workers import POSTGRES, SHORT, Workers, address, fleet, kind
from tests.support.network_namespace import IsolatedMachine, forwarded_postgres, isolated_machine, own_postgres
from tests.support.warehouse import administer

__all__ = ["address", "fleet", "kind"]

pytestmark = POSTGRES

LOST = "was suspended, and another worker loads the tenant now"

IMPATIENT = """
from m365_jobs.warehouse.destinations import postgres
postgres.TIMEOUTS.update(keepalives_idle=1, keepalives_interval=1, keepalives_count=2, tcp_user_timeout=3_000)
"""
"""Code that makes both ends of a connection wait three seconds for a lost network instead of 60."""


@pytest.fixture
def cable(fleet: Callable[[int], Workers]) -> Iterator[tuple[Workers, IsolatedMachine]]:
    """Yield workers of a tenant, and the machine ``one``, which has a network of its own."""
    workers = fleet(1)
    (simulator,) = workers.tenants.values()
    with isolated_machine("one", simulator.base_url, simulator.token_url) as machine:
        workers.isolated["one"] = machine
        yield workers, machine


@pytest.fixture
def link(cable: tuple[Workers, IsolatedMachine]) -> IsolatedMachine:
    """Return the machine whose link to PostgreSQL the test can cut."""
    return cable[1]


@pytest.fixture
def workers(cable: tuple[Workers, IsolatedMachine], address: str) -> Iterator[Workers]:
    """Yield workers whose tenant was loaded into the database of the test."""
    workers, machine = cable
    with forwarded_postgres(machine, address):
        workers.run("two", "--tenant", "tenant0")
        yield workers


@contextmanager
def cut_off_writer(workers: Workers, link: IsolatedMachine, address: str) -> Iterator[subprocess.Popen[str]]:
    """Start a load, and cut its link once it waits to write; the table stays busy within the block."""
    change_all(workers)
    with busy_table(address) as wait:
        writer = workers.start("one", "--tenant", "tenant0")
        wait()
        link.cut()
        yield writer


def end_sessions(address: str) -> None:
    """End the sessions of the worker, as a PostgreSQL server does whose keepalive probes get no answer."""
    mine = "datname = current_database() AND application_name = 'one'"
    administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}", address=address)


def test_a_worker_whose_packets_are_lost_while_it_writes_takes_nothing_back(
    workers: Workers, link: IsolatedMachine, address: str
) -> None:
    with cut_off_writer(workers, link, address) as lost:
        end_sessions(address)
    change_all(workers)
    workers.run("two", "--tenant", "tenant0")
    workers.check()
    link.heal()
    message = lost.communicate(timeout=600)[1]
    assert (lost.returncode, LOST in message) == (1, True), message
    workers.check()
    workers.run("one", "--tenant", "tenant0")
    workers.check()


def test_packets_that_are_lost_for_a_moment_are_sent_again_and_the_load_succeeds(
    workers: Workers, link: IsolatedMachine, address: str
) -> None:
    with cut_off_writer(workers, link, address) as writer:
        before = link.server.retransmissions()
    # The table is free, so PostgreSQL answers, but the answer does not arrive.
    wait_until(lambda: link.server.retransmissions() > before, "PostgreSQL sent nothing again")
    link.heal()
    message = writer.communicate(timeout=600)[1]
    assert writer.returncode == 0, message
    workers.check()
    assert workers.place.rows("SELECT count(*) FROM load_runs") == [(2,)]


def test_a_worker_that_cannot_renew_its_lease_until_another_took_over_writes_nothing(
    workers: Workers, link: IsolatedMachine
) -> None:
    (simulator,), gate = workers.tenants.values(), Gate()
    change_all(workers)
    simulator.fault = gate
    holder = workers.start("one", "--tenant", "tenant0")
    assert gate.reached.wait(60)
    link.cut()
    simulator.fault = None
    simulator.world.advance(timedelta(hours=5))
    # This worker waits until the lease has expired.
    workers.run("two", "--tenant", "tenant0")
    workers.check()
    written = workers.place.contents("tenant0")
    # The first worker now reads jobs that it must not write.
    change_all(workers)
    link.heal()
    gate.open.set()
    message = holder.communicate(timeout=600)[1]
    assert (holder.returncode, LOST in message) == (1, True), message
    assert workers.place.contents("tenant0") == written
    assert workers.place.rows("SELECT count(*) FROM load_runs") == [(2,)]
    workers.run("one", "--tenant", "tenant0")
    workers.check()


def test_a_worker_whose_network_stays_cut_ends(workers: Workers, link: IsolatedMachine, address: str) -> None:
    workers.program = IMPATIENT + SHORT
    with cut_off_writer(workers, link, address) as lost:
        pass
    message = lost.communicate(timeout=300)[1]
    assert lost.returncode == 1, message
    assert message.splitlines()[-1].startswith("Error (destination): The destination cannot be reached"), message
    end_sessions(address)
    link.heal()
    workers.run("one", "--tenant", "tenant0")
    workers.check()


def test_postgresql_ends_the_sessions_of_a_worker_whose_network_stays_cut_and_another_loads(
    cable: tuple[Workers, IsolatedMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, link = cable
    with own_postgres(link) as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        workers.run("two", "--tenant", "tenant0")
        workers.program = IMPATIENT + SHORT
        with cut_off_writer(workers, link, address) as lost:
            pass
        change_all(workers)
        # One session of the first worker has sent an answer that does not arrive. The others are idle and hold locks.
        workers.run("two", "--tenant", "tenant0")
        workers.check()
        message = lost.communicate(timeout=300)[1]
        assert lost.returncode == 1, message
        workers.check()
