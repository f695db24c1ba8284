"""Test workers on several machines that share only a warehouse in PostgreSQL or a lake."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
from avepoint_simulator import Simulator, make_world

from tests.chaos.test_concurrency import Gate, interrupt, line_with
from tests.support.cli import NOW, NewUser
from tests.support.network_namespace import IsolatedMachine
from tests.support.signals import hear_interrupts
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse, administer, database

OBJECT_TYPES = ("exchange_online", "teams")
SHORT = "from m365_jobs.cli.app import main; from m365_jobs.locks import base; base.LEASE_SECONDS = 9; main()"
"""The command ``m365-jobs`` with leases that expire soon."""
FEW = ("--parallel-tenants", "2")
"""A worker loads few tenants in parallel, so that some are left for other workers."""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows has no signals to stop a process with")


POSTGRES = pytest.mark.parametrize("kind", ["postgres"], indirect=True)
"""Marks tests of features of PostgreSQL, and tests that read its table of leases."""


@pytest.fixture(params=["postgres", "filesystem"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Create an empty warehouse, set it as the destination of all workers, and yield its type."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "onlooker"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTINATION_TYPE", request.param)
    with ExitStack() as stack:
        if request.param == "postgres":
            monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", stack.enter_context(database()))
        else:
            monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(tmp_path / "lake"))
        yield request.param


@pytest.fixture
def address(kind: str) -> str:
    """Return the address of the PostgreSQL database."""
    return os.environ["DESTINATION__POSTGRES__CREDENTIALS"]


class Workers:
    """Run loads on several machines with the same tenants and the same warehouse."""

    def __init__(self, folder: Path, destination: str, tenants: dict[str, Simulator]) -> None:
        self.folder, self.tenants, self.place = folder, tenants, Warehouse(destination)
        self.settings: dict[str, str] = {}
        self.program = SHORT
        self.isolated: dict[str, IsolatedMachine] = {}
        """Machines that have a network of their own."""
        self._started: list[subprocess.Popen[str]] = []
        for name, simulator in tenants.items():
            prefix = f"SOURCES__AVEPOINT_M365__TENANTS__{name.upper()}__"
            self.settings |= {
                f"{prefix}BASE_URL": simulator.base_url,
                f"{prefix}TOKEN_URL": simulator.token_url,
                f"{prefix}OBJECT_TYPES": '["exchange_online", "teams"]',
                f"{prefix}CREDENTIALS__CLIENT_ID": simulator.client_id,
                f"{prefix}CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
            }

    def start(self, machine: str, *arguments: str) -> subprocess.Popen[str]:
        """Start ``load`` on a machine, which has its own working directory."""
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        network = self.isolated.get(machine)
        enter, own = (network.inside, network.settings) if network else ((), {})
        worker = subprocess.Popen(
            [*enter, sys.executable, "-c", self.program, "load", *FEW, *arguments], cwd=home, stderr=subprocess.PIPE,
            env={**os.environ, **self.settings, **own, "DLT_DATA_DIR": str(home / "dlt")}, preexec_fn=hear_interrupts,
            text=True,
        )  # fmt: skip
        self._started.append(worker)
        return worker

    def end(self) -> None:
        """End the workers that a failed test left."""
        for worker in self._started:
            worker.kill()
            worker.wait()

    def run(self, machine: str, *arguments: str, code: int = 0) -> str:
        """Run ``load`` on a machine until it ends, and return its messages."""
        worker = self.start(machine, *arguments)
        message = worker.communicate(timeout=600)[1]
        assert worker.returncode == code, message
        return message

    def wait_for_requests(self, more: int) -> None:
        """Wait until the servers have received that many more requests, but at most ten seconds."""

        def asked() -> int:
            return sum(len(simulator.asked) for simulator in self.tenants.values())

        goal, give_up = asked() + more, time.monotonic() + 10
        while asked() < goal and time.monotonic() < give_up:
            time.sleep(0.01)

    def check(self) -> None:
        """Check that each tenant has the rows of its server, and that no run is recorded twice."""
        for name, simulator in self.tenants.items():
            truth = {key: row for key, row in on_server(simulator.world, False).items() if row[1] in OBJECT_TYPES}
            assert self.place.contents(name) == truth, name
        doubled = "SELECT run_id FROM load_runs GROUP BY run_id HAVING count(*) > 1"
        assert self.place.rows(doubled) == []


@pytest.fixture
def fleet(tmp_path: Path, kind: str) -> Iterator[Callable[[int], Workers]]:
    with ExitStack() as stack:

        def make(tenants: int) -> Workers:
            worlds = [make_world(80, seed=seed, now=NOW) for seed in range(tenants)]
            simulators = [stack.enter_context(Simulator(world)) for world in worlds]
            workers = Workers(tmp_path, kind, {f"tenant{number}": item for number, item in enumerate(simulators)})
            stack.callback(workers.end)
            return workers

        yield make


def test_a_tenant_that_another_worker_holds_is_left_out_by_all_tenants_and_waited_for_by_name(
    fleet: Callable[[int], Workers],
) -> None:
    workers, gate = fleet(2), Gate()
    workers.tenants["tenant0"].fault = gate
    holder = workers.start("one", "--tenant", "tenant0")
    assert gate.reached.wait(60)
    message = workers.run("two", "--all-tenants")
    assert "tenant0: left out. Another load of tenant tenant0 is running (" in message
    assert "1 of 2 tenants loaded, 0 of them incomplete, 1 left to other workers" in message
    waiting = workers.start("three", "--tenant", "tenant0")
    assert f"process {holder.pid}" in line_with(waiting, "Waiting for it")
    gate.open.set()
    for worker in (holder, waiting):
        message = worker.communicate(timeout=600)[1]
        assert worker.returncode == 0, message
    workers.check()


@pytest.mark.parametrize("tenants", [1, 2])
def test_an_interrupt_reaches_a_worker_that_waits_and_leaves_the_lease_to_its_holder(
    fleet: Callable[[int], Workers], tenants: int
) -> None:
    workers, gate = fleet(tenants), Gate()
    workers.tenants["tenant0"].fault = gate
    holder = workers.start("one", "--tenant", "tenant0")
    assert gate.reached.wait(60)
    waiting = workers.start("two", *(word for name in workers.tenants for word in ("--tenant", name)))
    line_with(waiting, f"process {holder.pid}")
    interrupt(waiting)
    gate.open.set()
    message = holder.communicate(timeout=600)[1]
    assert holder.returncode == 0, message
    workers.run("two", *(word for name in workers.tenants for word in ("--tenant", name)))
    workers.check()
    runs = "SELECT status, detail, count(*) FROM load_runs WHERE tenant = 'tenant0' GROUP BY 1, 2 ORDER BY 1"
    assert workers.place.rows(runs) == [("complete", None, 2), ("failed", "Interrupted.", 1)]


def test_the_lease_of_a_killed_worker_expires_and_the_next_takes_over(fleet: Callable[[int], Workers]) -> None:
    workers, gate = fleet(1), Gate()
    workers.tenants["tenant0"].fault = gate
    holder = workers.start("one", "--tenant", "tenant0")
    assert gate.reached.wait(60)
    next_one = workers.start("two", "--tenant", "tenant0")
    line_with(next_one, f"process {holder.pid}")
    holder.kill()
    gate.open.set()
    message = next_one.communicate(timeout=600)[1]
    assert next_one.returncode == 0, message
    workers.check()


@POSTGRES
def test_a_lease_outlasts_a_load_that_takes_longer_than_it(fleet: Callable[[int], Workers], address: str) -> None:
    workers, gate = fleet(1), Gate()
    workers.tenants["tenant0"].fault = gate
    holder = workers.start("one", "--tenant", "tenant0")
    assert gate.reached.wait(60)
    lease = "SELECT holder, expires_at FROM m365_jobs.load_leases"
    ((name, first),) = administer(lease, address=address)
    renewed, give_up = first, time.monotonic() + 60
    while renewed < first + timedelta(seconds=10) and time.monotonic() < give_up:
        ((held_by, renewed),) = administer(lease, address=address)
        assert held_by == name
    assert renewed >= first + timedelta(seconds=10)
    gate.open.set()
    message = holder.communicate(timeout=600)[1]
    assert holder.returncode == 0, message


def test_a_worker_that_stood_still_until_another_took_over_writes_nothing(fleet: Callable[[int], Workers]) -> None:
    workers, gate = fleet(1), Gate()
    simulator = workers.tenants["tenant0"]
    simulator.fault = gate
    sleeper = workers.start("one", "--tenant", "tenant0")
    assert gate.reached.wait(60)
    os.kill(sleeper.pid, signal.SIGSTOP)
    simulator.fault = None
    simulator.world.advance(timedelta(hours=5))
    workers.run("two", "--tenant", "tenant0")
    workers.check()
    gate.open.set()
    os.kill(sleeper.pid, signal.SIGCONT)
    message = sleeper.communicate(timeout=600)[1]
    assert sleeper.returncode == 1, message
    assert "was suspended, and another worker loads the tenant now" in message
    workers.check()
    assert workers.place.rows("SELECT count(*) FROM load_runs") == [(1,)]


@POSTGRES
def test_a_clock_that_was_set_back_blocks_no_load(fleet: Callable[[int], Workers], address: str) -> None:
    workers = fleet(1)
    workers.run("one", "--tenant", "tenant0")
    # Times from before the clock was set back: of a load that ended, and of a load whose worker died.
    ended, died = "ended_at = now() + interval '1 day'", "holder = 'x', expires_at = now() + interval '1 day'"
    for left in (ended, f"{ended}, {died}"):
        for more in ((), ("--skip-loaded-within", "10m")):
            administer(f"UPDATE m365_jobs.load_leases SET {left}", address=address)
            assert "left out" not in workers.run("two", "--all-tenants", *more)
    workers.check()
    assert workers.place.rows("SELECT count(*) FROM load_runs") == [(5,)]


def test_workers_of_one_round_load_each_tenant_once(fleet: Callable[[int], Workers]) -> None:
    workers = fleet(3)
    round_of = ("--all-tenants", "--skip-loaded-within", "10m")
    for worker in [workers.start(machine, *round_of) for machine in ("one", "two")]:
        message = worker.communicate(timeout=600)[1]
        assert worker.returncode == 0, message
    assert "tenant1: left out. The last load of tenant tenant1 ended" in workers.run("three", *round_of)
    workers.check()
    loads = "SELECT tenant, count(*) FROM load_runs GROUP BY tenant ORDER BY tenant"
    assert workers.place.rows(loads) == [("tenant0", 1), ("tenant1", 1), ("tenant2", 1)]
    workers.run("one", "--all-tenants")
    assert workers.place.rows(loads) == [("tenant0", 2), ("tenant1", 2), ("tenant2", 2)]


def test_rounds_need_a_warehouse_that_has_leases(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.set(tenants__contoso__page_size="50", tenants__fabrikam__page_size="50")
    message = user.run("load", "--all-tenants", "--skip-loaded-within", "5m", code=2).stderr
    error = "Error (config): --skip-loaded-within is for workers that share a warehouse in PostgreSQL or a lake."
    assert message.splitlines()[-1] == error
    assert simulator.asked == []
    assert "--all-tenants" in user.run("load", "--skip-loaded-within", "5m", code=2).stderr


@POSTGRES
def test_a_load_that_changes_no_table_writes_beside_others(fleet: Callable[[int], Workers], address: str) -> None:
    workers = fleet(2)
    workers.run("one", "--tenant", "tenant0")
    # Another worker holds this shared lock while it writes.
    other = psycopg2.connect(address)
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(hashtext('m365_jobs m365_jobs'))")
        workers.run("two", "--all-tenants")
    other.close()
    workers.check()


def test_workers_killed_at_random_lose_nothing(fleet: Callable[[int], Workers]) -> None:
    workers, dice, machines = fleet(5), random.Random(5), ("one", "two")
    workers.run("one", *(word for name in list(workers.tenants)[:3] for word in ("--tenant", name)))
    for simulator in workers.tenants.values():
        simulator.world.advance(timedelta(hours=4))
    running = [workers.start(machine, "--all-tenants") for machine in machines]
    for number in range(len(machines)):
        # Kill a worker in the middle of its work, on fast and on slow computers: count requests, not seconds.
        workers.wait_for_requests(dice.randrange(10, 40))
        running[number].kill()
        running[number].communicate()
        running[number] = workers.start(f"new{number}", "--all-tenants")
    for worker in running:
        message = worker.communicate(timeout=600)[1]
        # On a very busy computer a worker may renew its lease too late.
        assert worker.returncode == 0 or "another worker loads the tenant now" in message, message
    # This load waits for the leases of the killed workers.
    workers.run("one", *(word for name in workers.tenants for word in ("--tenant", name)))
    workers.check()
