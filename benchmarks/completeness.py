"""Load two weeks of a tenant's jobs with this product and with what users write instead, and compare with the server.

Run it with ``python -m benchmarks.completeness``. Every six hours each of them loads. The machine is off from Friday
noon to Monday morning. The range of a request means the finish of a job here, one of the meanings that it may have.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dlt
import duckdb
import requests
from avepoint_m365 import Progress
from avepoint_simulator import Simulator, World, make_world
from m365_jobs.load import run as loading
from m365_jobs.load.options import LoadOptions

from benchmarks.alternatives import jobs_source, token
from tests.support.driven_clock import DrivenClock
from tests.support.truth import on_server
from tests.support.worlds import settings

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
DAYS = 14
EVERY = timedelta(hours=6)
OFF = (START + timedelta(days=4, hours=12), START + timedelta(days=7, hours=6))
PAGE = 500


def server() -> World:
    """Return a tenant of 3,000 jobs. The API shows each 20 minutes after its start."""
    world = make_world(3_000, seed=5, now=START + timedelta(days=DAYS), days=DAYS + 1)
    world.late, world.now = timedelta(minutes=20), START
    return world


def product(simulator: Simulator) -> None:
    """Load with this product."""
    given = settings(simulator, start_date=FIRST_DAY, include="none")
    loading.load(LoadOptions(source=given), Progress(), lambda _: None)


def where(simulator: Simulator) -> dict[str, str]:
    """Return the addresses and the credentials of a simulator."""
    return {name: getattr(simulator, name) for name in ("base_url", "token_url", "client_id", "client_secret")}


def plain_dlt(simulator: Simulator, name: str, **parameters: Any) -> None:
    """Load with a rest_api source that merges on the id; ``parameters`` are further ones of its query."""
    pipeline = dlt.pipeline(name, destination=dlt.destinations.duckdb(f"{name}.duckdb"), dataset_name="m365_jobs")
    pipeline.run(jobs_source(where(simulator), **parameters))


def script(simulator: Simulator) -> None:
    """Read the jobs of the last day, as scripts do, and replace them by id in a DuckDB file."""
    now, rows, page = simulator.world.now, [], 1
    bearer = {"Authorization": f"Bearer {token(where(simulator))}"}
    span = {"startTime": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}", "finishTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    while True:
        asked = {**span, "pageSize": str(PAGE), "pageIndex": str(page)}
        jobs = requests.get(f"{simulator.base_url}/backup/m365/jobs", asked, headers=bearer, timeout=60).json()["jobs"]
        rows += [(job["id"], job["state"]) for job in jobs]
        if len(jobs) < PAGE:
            break
        page += 1
    with duckdb.connect("script.duckdb") as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS m365_jobs; USE m365_jobs")
        connection.execute("CREATE TABLE IF NOT EXISTS jobs (id VARCHAR PRIMARY KEY, state VARCHAR)")
        connection.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?)", rows)


FIRST_DAY = (START - timedelta(days=2)).isoformat()

INCREMENTAL = {"type": "incremental", "cursor_path": "startTime", "initial_value": FIRST_DAY}

CONTENDERS: dict[str, tuple[str, Callable[[Simulator], None]]] = {
    "`m365-jobs load`": ("m365_warehouse", product),
    "dlt rest_api, incremental on startTime": (
        "incremental",
        partial(plain_dlt, name="incremental", startTime=INCREMENTAL),
    ),
    "dlt rest_api, all jobs each time": ("whole", partial(plain_dlt, name="whole")),
    "script: jobs of the last day, by id": ("script", script),
}
"""What loads, by its name in the table: the DuckDB file without its extension, and the function."""


def rounds(simulator: Simulator, clock: DrivenClock) -> Iterator[datetime]:
    """Move the clocks of server and product from load to load; the machine is off at the weekend."""
    now = START
    while now <= START + timedelta(days=DAYS):
        if not OFF[0] <= now < OFF[1]:
            simulator.world.advance(now - simulator.world.now)
            clock.set(now)
            yield now
        now += EVERY


def compare(file: str, world: World) -> tuple[int, int, int]:
    """Return the jobs that a warehouse lacks, those with an old state, and those without a service."""
    with duckdb.connect(f"{file}.duckdb", read_only=True) as connection:
        columns = [row[0] for row in connection.execute("DESCRIBE m365_jobs.jobs").fetchall()]
        service = "object_type" if "object_type" in columns else "NULL"
        rows = connection.execute(f"SELECT id, state, {service} FROM m365_jobs.jobs").fetchall()
    states = {id_: state for id_, state, _ in rows}
    assert len(states) == len(rows), "a job has two rows"
    truth = {id_: row[3] for id_, row in on_server(world, False).items()}
    missing = truth.keys() - states.keys()
    old = [id_ for id_ in truth.keys() & states.keys() if states[id_] != truth[id_]]
    return len(missing), len(old), sum(service is None for _, _, service in rows)


def main() -> None:
    """Print the table."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
    asked = dict.fromkeys(CONTENDERS, 0)
    with tempfile.TemporaryDirectory() as folder, Simulator(server()) as simulator, DrivenClock() as clock:
        os.chdir(folder)
        os.environ["DLT_DATA_DIR"] = str(Path(folder) / "dlt")
        loads = 0
        for _ in rounds(simulator, clock):
            loads += 1
            for name, (_, load) in CONTENDERS.items():
                simulator.asked.clear()
                load(simulator)
                asked[name] += len(simulator.asked)
        jobs = len(on_server(simulator.world, False))
        print(f"## Completeness: {loads} loads in {DAYS} days of a tenant with {jobs:,} jobs\n")
        print("| what loads | jobs missing | old states | jobs without a service | requests |")
        print("|---|---:|---:|---:|---:|")
        for name, (file, _) in CONTENDERS.items():
            counts = [f"{count:,}" for count in (*compare(file, simulator.world), asked[name])]
            print(f"| {name} | {' | '.join(counts)} |")


if __name__ == "__main__":
    main()
