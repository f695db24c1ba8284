"""Test two loads at once, and loads while other programs have the warehouse open."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import m365_jobs.load.run as loading
import pytest
from avepoint_m365 import Progress
from avepoint_m365.exceptions import InterruptedLoadError
from avepoint_simulator import Answer, Asked, Simulator
from m365_jobs.config.tenants import Tenant
from m365_jobs.errors.driver_messages import in_use
from m365_jobs.load import parallel

from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import Cli, NewUser
from tests.support.signals import start_command
from tests.support.truth import in_warehouse, on_server

INTERRUPTS = pytest.mark.skipif(os.name == "nt", reason="Windows has another way to interrupt")

HOLD = """import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
print('open', flush=True)
sys.stdin.read()
"""


@contextmanager
def reader(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program that holds a DuckDB file open until the test kills it."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdin=pipe, stdout=pipe, text=True) as program:
        assert program.stdout
        assert program.stdout.readline() == "open\n"
        yield program
        program.kill()


def interrupt(process: subprocess.Popen[str]) -> None:
    """Send Ctrl+C, and check that the process ends because of it."""
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=50)[1]
    assert (process.returncode, message.splitlines()[-1]) == (
        130,
        "Interrupted; the next load continues from there.",
    ), message
    assert "waiting" not in message


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """Return the next line on stderr that contains ``text``."""
    assert process.stderr
    return next(line for line in process.stderr if text in line)


class Gate:
    """Hold each request to the API until the test opens the gate."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, asked: Asked) -> Answer | None:
        self.reached.set()
        assert self.open.wait(60)
        return None


def test_a_second_load_in_one_directory_waits_for_the_first(simulator: Simulator, new_user: NewUser) -> None:
    user, gate = new_user(simulator), Gate()
    simulator.fault = gate
    first = start_command(user, "load")
    assert gate.reached.wait(60)
    second = start_command(user, "load")
    assert "Another load of m365_jobs is running; waiting" in line_with(second, "Another load")
    gate.open.set()
    assert [item.communicate(timeout=120) and item.returncode for item in (first, second)] == [0, 0]
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)
    assert user.query("SELECT status, count(*), count(DISTINCT run_id) FROM load_runs GROUP BY 1") == [
        ("complete", 2, 2)
    ]


@INTERRUPTS
@pytest.mark.parametrize("names", [["contoso"], ["contoso", "fabrikam"]])
def test_an_interrupt_reaches_a_load_that_waits_for_another(
    simulator: Simulator, new_user: NewUser, names: list[str]
) -> None:
    user, gate = new_user(simulator), Gate()
    configure(user, section("contoso", simulator) + section("fabrikam", simulator))
    simulator.fault = gate
    first = start_command(user, "load", "--tenant", "contoso")
    assert gate.reached.wait(60)
    simulator.fault = None
    second = start_command(user, "load", *(word for name in names for word in ("--tenant", name)))
    line_with(second, "Another load of m365_jobs__contoso is running; waiting")
    interrupt(second)
    gate.open.set()
    message = first.communicate(timeout=120)
    assert first.returncode == 0, message
    assert in_warehouse(user.folder / "m365_warehouse.duckdb", "contoso") == on_server(simulator.world, False)


def test_an_interrupt_the_moment_that_a_tenants_thread_starts_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, ended = threading.Thread.start, []

    def begin_and_interrupt(thread: threading.Thread) -> None:
        begin(thread)
        if thread.name == "tenant_1":
            raise KeyboardInterrupt

    def load(options: loading.LoadOptions, progress: Progress, say: Callable[[str], None]) -> None:
        assert options.tenant
        assert progress.stats.interrupted.wait(60)
        if options.tenant.name == "fabrikam":
            # Long enough that the caller would return before, if it did not wait for this thread.
            threading.Event().wait(0.5)
        ended.append(options.tenant.name)

    monkeypatch.setattr(threading.Thread, "start", begin_and_interrupt)
    monkeypatch.setattr(parallel, "load", load)
    tenants, options = [Tenant("contoso"), Tenant("fabrikam")], loading.LoadOptions(file=tmp_path / "any.duckdb")
    tenant_loads = parallel.TenantLoads({tenant.name: Progress() for tenant in tenants})
    with pytest.raises(InterruptedLoadError):
        parallel.load_all(tenants, options, tenant_loads, lambda text: None, lambda error: None, 8)
    assert sorted(ended) == ["contoso", "fabrikam"]


@INTERRUPTS
@pytest.mark.parametrize("names", [["contoso"], ["contoso", "fabrikam"]])
def test_an_interrupt_reaches_a_load_that_waits_for_a_program(
    simulator: Simulator, new_user: NewUser, names: list[str]
) -> None:
    user, tenants = new_user(simulator), [word for name in names for word in ("--tenant", name)]
    configure(user, section("contoso", simulator) + section("fabrikam", simulator))
    user.run("load", *tenants)
    with reader(user.folder / "m365_warehouse.duckdb"):
        load = start_command(user, "load", *tenants)
        for _ in names:
            line_with(load, "Another program has the warehouse open; waiting")
        interrupt(load)
    user.run("load", *tenants)
    assert user.query("SELECT tenant, status, detail FROM load_runs ORDER BY tenant, started_at") == [
        (name, *result)
        for name in names
        for result in (("complete", None), ("failed", "Interrupted."), ("complete", None))
    ]


def test_loads_from_two_machines_into_one_file_end_well(
    simulator: Simulator, new_user: NewUser, tmp_path: Path
) -> None:
    user, gate = new_user(simulator), Gate()
    simulator.fault = gate
    elsewhere = Cli(user.folder, {**user.environment, "DLT_DATA_DIR": str(tmp_path / "elsewhere")})
    loads = [start_command(user, "load"), start_command(elsewhere, "load", "--since", "2020-01-01")]
    assert gate.reached.wait(60)
    gate.open.set()
    message = [process.communicate(timeout=120)[1] for process in loads]
    assert [process.returncode for process in loads] == [0, 0], message
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)
    simulator.world.advance(timedelta(hours=3))
    elsewhere.run("load")
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)


def test_a_load_waits_for_a_program_that_has_the_file_open(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    simulator.world.advance(timedelta(hours=8))
    with reader(user.folder / "m365_warehouse.duckdb") as program:
        load = start_command(user, "load")
        line_with(load, "Another program has the warehouse open; waiting")
        program.kill()
        message = load.communicate(timeout=120)
    assert load.returncode == 0, message
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)


def test_a_load_waits_for_a_program_that_takes_the_file_while_the_api_is_read(
    simulator: Simulator, new_user: NewUser
) -> None:
    """Open the file before the load asks the warehouse about known jobs; that query must wait as well."""
    user, gate = new_user(simulator), Gate()
    user.run("load")
    simulator.world.advance(timedelta(hours=8))
    simulator.fault = gate
    load = start_command(user, "load")
    assert gate.reached.wait(60)
    with reader(user.folder / "m365_warehouse.duckdb") as program:
        gate.open.set()
        line_with(load, "Another program has the warehouse open; waiting")
        program.kill()
        message = load.communicate(timeout=120)
    assert load.returncode == 0, message
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)


def test_nobody_else_gets_the_file_between_the_wait_for_it_and_the_write(
    simulator: Simulator, new_user: NewUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, write, others = new_user(simulator), dlt.Pipeline.load, []

    def write_while_another_tries(*arguments: Any, **named: Any) -> Any:
        file = str(user.folder / "m365_warehouse.duckdb")
        code = "import duckdb, sys; duckdb.connect(sys.argv[1])"
        others.append(subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=False))
        return write(*arguments, **named)

    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(user.folder)
    monkeypatch.setattr(dlt.Pipeline, "load", write_while_another_tries)
    loading.load(loading.LoadOptions(), Progress(), lambda text: None)
    assert {in_use(OSError(other.stderr)) for other in others} == {True}
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)


def test_the_warehouse_can_be_read_while_a_load_reads_the_api(simulator: Simulator, new_user: NewUser) -> None:
    user, gate = new_user(simulator), Gate()
    user.run("load")
    simulator.fault = gate
    load = start_command(user, "load")
    assert gate.reached.wait(60)
    assert "exchange_online" in user.run("status").stdout
    assert user.query("SELECT count(*) FROM load_runs") == [(1,)]
    gate.open.set()
    message = load.communicate(timeout=120)
    assert load.returncode == 0, message


def test_the_warehouse_can_be_read_during_each_request_of_a_load(simulator: Simulator, new_user: NewUser) -> None:
    user, runs = new_user(simulator), list[int]()
    user.run("load")
    # A load looks up known jobs first, then classifies new jobs with further requests.
    simulator.world.advance(timedelta(days=1))

    def read(asked: Asked) -> None:
        with duckdb.connect(str(user.folder / "m365_warehouse.duckdb"), read_only=True) as connection:
            (count,) = connection.execute("SELECT count(*) FROM m365_jobs.load_runs").fetchone() or (0,)
        runs.append(count)

    simulator.gateway = read
    user.run("load")
    assert len(runs) > 3
    assert set(runs) == {1}
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)


def test_status_during_a_write_says_that_the_file_is_in_use(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")):
        assert "Another program has the warehouse open" in user.run("status", code=1).stderr


def test_the_lock_of_a_killed_load_does_not_hold_up_the_next(simulator: Simulator, new_user: NewUser) -> None:
    user, gate = new_user(simulator), Gate()
    simulator.fault = gate
    load = start_command(user, "load")
    assert gate.reached.wait(60)
    load.kill()
    load.communicate()
    gate.open.set()
    assert list(Path(user.environment["DLT_DATA_DIR"]).glob("pipelines/*.lock")) or os.name == "nt"
    assert "waiting" not in user.run("load").stderr
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)
