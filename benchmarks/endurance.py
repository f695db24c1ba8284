"""Load tenants each simulated hour, for weeks or a year, and measure growth of files, rows and memory.

Run it with ``make endurance``; ``DAYS`` and ``TENANTS`` make it shorter. The loads run in their own process, whose
clock this program sets. A round begins as soon as the last one has ended, with a clock that is an hour later. The
program exits with 1 if a tenant's rows differ from those of its server, or if a load fails.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from avepoint_simulator import Simulator, World, make_world

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.driven_clock import DrivenClock  # noqa: E402
from tests.support.truth import on_server  # noqa: E402
from tests.support.warehouse import Warehouse, administer, database  # noqa: E402

START = datetime(2025, 1, 1, tzinfo=UTC)
HISTORY = 7
"""Days of jobs that exist before the first load."""
NIGHT = 20
"""Hour at which backups start."""
LONGEST = timedelta(minutes=100)
RESTORE = 2
JOBS_A_DAY = 6
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Checkpoint:
    """Hold the figures after a number of days. The names of the fields are the heads of the columns."""

    day: int
    loads: int
    jobs: int
    requests_a_load: str
    memory_mb: int
    open_files: int
    dlt_files: int
    dlt_kb: int
    state_rows: int
    dlt_loads: int
    audit_rows: int
    run_rows: int
    warehouse_mb: str
    warehouse_files: int
    seconds: int

    def __str__(self) -> str:
        return f"| {' | '.join(str(getattr(self, field.name)) for field in fields(self))} |"


@dataclass
class Fleet:
    """Hold the server of each tenant, and the warehouse of all tenants."""

    folder: Path
    destination: str
    tenants: dict[str, Simulator]

    def configure(self) -> None:
        """Set the environment of this process, which reads; the loading process inherits it."""
        os.environ |= {"DESTINATION_TYPE": self.destination, "DLT_DATA_DIR": str(self.folder / "dlt")}
        os.environ |= {"DESTINATION__FILESYSTEM__BUCKET_URL": str(self.folder / "lake"), "RUNTIME__LOG_LEVEL": "ERROR"}
        for name, simulator in self.tenants.items():
            prefix = f"SOURCES__AVEPOINT_M365__TENANTS__{name.upper()}__"
            os.environ |= {
                f"{prefix}BASE_URL": simulator.base_url,
                f"{prefix}TOKEN_URL": simulator.token_url,
                f"{prefix}START_DATE": (START - timedelta(days=HISTORY + 1)).isoformat(),
                f"{prefix}CREDENTIALS__CLIENT_ID": simulator.client_id,
                f"{prefix}CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
            }

    def advance(self, by: timedelta) -> datetime:
        """Move the clock of each server forward, and return its new time."""
        return max(simulator.world.advance(by) for simulator in self.tenants.values())

    def requests(self) -> int:
        """Return the number of requests to all servers since the last call."""
        asked = sum(len(simulator.asked) for simulator in self.tenants.values())
        for simulator in self.tenants.values():
            simulator.asked.clear()
        return asked

    def wrong(self) -> list[str]:
        """Return the tenants whose rows differ from those of their server."""
        place = Warehouse(self.destination)
        return [name for name, item in self.tenants.items() if place.contents(name) != on_server(item.world, False)]

    def stored(self) -> tuple[int, list[Path]]:
        """Return the bytes of the warehouse and its files."""
        if self.destination == "postgres":
            size = "SELECT pg_database_size(current_database())"
            ((taken,),) = administer(size, address=os.environ["DESTINATION__POSTGRES__CREDENTIALS"])
            return int(taken), []
        result = [*self.folder.glob("*.duckdb*")] if self.destination == "duckdb" else files(self.folder / "lake")
        return sum(file.stat().st_size for file in result), result


def files(folder: Path) -> list[Path]:
    """Return all files in a folder."""
    return [file for file in folder.rglob("*") if file.is_file()]


def nightly(seed: int, days: int) -> World:
    """Return a tenant whose backups start in the evening, and whose restores start at any time."""
    end = START + timedelta(days=days)
    world = make_world(JOBS_A_DAY * (days + HISTORY), seed, end, days + HISTORY)
    dice = random.Random(seed)
    for job in world.all():
        if job.job_type != RESTORE:
            start = job.start.replace(hour=NIGHT, minute=dice.randrange(50))
            assert job.finish is not None
            world.put(replace(job, start=start, finish=start + min(job.finish - job.start, LONGEST)))
    world.now = START
    return world


def load_rounds(pipe: Connection, folder: Path) -> None:
    """Load all tenants for each time that arrives in the pipe; send memory, open files and failures back."""
    os.chdir(folder)
    import m365_jobs.locks.lake
    import m365_jobs.warehouse.destinations.delta_files  # noqa: F401
    from avepoint_m365 import Progress
    from m365_jobs.config.tenants import selected
    from m365_jobs.load import parallel
    from m365_jobs.load.options import LoadOptions

    clock = DrivenClock()
    while now := pipe.recv():
        clock.set(now)
        tenants = selected((), every=True)
        tenant_loads = parallel.TenantLoads({tenant.name: Progress() for tenant in tenants})
        parallel.load_all(tenants, LoadOptions(), tenant_loads, lambda _: None, lambda error: print(repr(error)), 8)
        failures = [f"{result.tenant}: exit {result.exit_code}" for result in tenant_loads.results if result.exit_code]
        memory = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
        pipe.send((int(memory.split()[1]) // 1024, len(os.listdir("/proc/self/fd")), failures))


def rounds(fleet: Fleet, days: int, every: int, pipe: Connection) -> Iterator[Checkpoint]:
    """Load each hour, and yield a checkpoint after each ``every`` days."""
    began, loads = time.monotonic(), 0
    for hour in range(days * 24 + 1):
        pipe.send(fleet.advance(timedelta(hours=1 if hour else 0)))
        memory, opened, failures = pipe.recv()
        loads += len(fleet.tenants)
        if failures:
            raise SystemExit(f"Hour {hour}: {failures}")
        if hour % (every * 24) == 0 or hour == days * 24:
            if wrong := fleet.wrong():
                raise SystemExit(f"Hour {hour}: the rows of {wrong} are not those of their servers.")
            asked = f"{fleet.requests() / (len(fleet.tenants) * (every * 24 if hour else 1)):.2f}"
            yield measured(fleet, hour // 24, loads, (asked, memory, opened, int(time.monotonic() - began)))


def measured(fleet: Fleet, day: int, loads: int, seen: tuple[str, int, int, int]) -> Checkpoint:
    """Return a checkpoint: the figures of the warehouse, and those of the loads (``seen``)."""
    place, (asked, memory, opened, seconds) = Warehouse(fleet.destination), seen

    def count(table: str) -> int:
        if fleet.destination == "filesystem" and table.startswith("_dlt"):
            return len(files(fleet.folder / "lake" / "m365_jobs" / table))
        return int(place.rows(f"SELECT count(*) FROM {table}")[0][0])

    size, stored = fleet.stored()
    of_dlt = files(fleet.folder / "dlt")
    return Checkpoint(
        day, loads, count("jobs"), asked, memory, opened, len(of_dlt), sum(f.stat().st_size for f in of_dlt) // 1024,
        count("_dlt_pipeline_state"), count("_dlt_loads"), count("load_audit"), count("load_runs"),
        f"{size / MEGABYTE:.1f}", len(stored), seconds,
    )  # fmt: skip


def run(days: int, tenants: int, every: int, destination: str) -> None:
    """Print the table of checkpoints."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if destination == "postgres":
            os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = stack.enter_context(database())
        worlds = {f"t{number:02}": nightly(number, days) for number in range(tenants)}
        simulators = {name: stack.enter_context(Simulator(world)) for name, world in worlds.items()}
        for simulator in simulators.values():
            simulator.behavior = replace(simulator.behavior, clock_skew_hours=0.0)
        fleet = Fleet(folder, destination, simulators)
        fleet.configure()
        os.chdir(folder)
        stack.callback(os.chdir, ROOT)
        pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        loader = multiprocessing.get_context("spawn").Process(target=load_rounds, args=(theirs, folder), daemon=True)
        loader.start()
        heads = [field.name.replace("_", " ") for field in fields(Checkpoint)]
        print(f"{days} days, {tenants} tenants, {destination}, a load each hour\n")
        print(f"| {' | '.join(heads)} |\n|{'---:|' * len(heads)}", flush=True)
        for checkpoint in rounds(fleet, days, every, pipe):
            print(checkpoint, flush=True)
        pipe.send(None)
        loader.join()


def main(arguments: Any = None) -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--tenants", type=int, default=10)
    parser.add_argument("--every", type=int, default=0, help="days between checkpoints; default: a twelfth of all")
    parser.add_argument("--destination", choices=("duckdb", "postgres", "filesystem"), default="duckdb")
    given = parser.parse_args(arguments)
    run(given.days, given.tenants, given.every or max(given.days // 12, 1), given.destination)


if __name__ == "__main__":
    main()
