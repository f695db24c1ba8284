"""Measure the cost of a load per request, job and tenant, for each kind of warehouse, for docs/scaling.md.

Run it with ``make costs``. It requires a PostgreSQL server, as ``make test-workers`` does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.run import Server, folder, run, settings, simulator  # noqa: E402
from benchmarks.workers import write  # noqa: E402
from tests.support.warehouse import database  # noqa: E402

TENANTS = 10
JOBS = 10_000
MEASURE = (
    "import json, resource, subprocess, sys, time;"
    "began = time.monotonic(); subprocess.run([sys.executable, *sys.argv[1:]], check=True);"
    "seconds, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN);"
    "json.dump([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024], open('spent', 'w'))"
)


@dataclass(frozen=True)
class Spent:
    """Hold the cost of a process from start to exit: seconds, processor seconds, and peak memory in MB."""

    seconds: float
    processor: float
    peak: float

    def less(self, other: Spent, parts: int) -> Spent:
        """Return the difference to another cost, divided by the number of parts; the peak stays."""
        return Spent((self.seconds - other.seconds) / parts, (self.processor - other.processor) / parts, self.peak)

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s ({self.processor:.2f})"


def load(here: Path, environment: dict[str, str], *arguments: str) -> Spent:
    """Run a load in its own process, and return its cost."""
    run(here, "-c", MEASURE, "-m", "m365_jobs", "load", *arguments, **environment)
    return Spent(*json.loads((here / "spent").read_text()))


@contextmanager
def duckdb() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield an empty folder; without variables, the warehouse is a DuckDB file in it."""
    with folder() as here:
        yield here, {}


@contextmanager
def postgres() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield an empty folder, and the variables of an empty PostgreSQL database."""
    with folder() as here, database() as address:
        yield here, {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": address}


@contextmanager
def delta() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield an empty folder, and the variables of a lake in it."""
    with folder() as here:
        yield here, {"DESTINATION_TYPE": "filesystem", "DESTINATION__FILESYSTEM__BUCKET_URL": str(here / "lake")}


Warehouse = Callable[[], AbstractContextManager[tuple[Path, dict[str, str]]]]
WAREHOUSES: dict[str, Warehouse] = {"DuckDB": duckdb, "PostgreSQL": postgres, "Delta in a folder": delta}


def costs(names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a table with a column for each warehouse."""
    results = [measured(WAREHOUSES[name]) for name in names]
    yield f"| seconds on the clock (of the loading process's processor) | {' | '.join(names)} |"
    yield f"|---|{'---:|' * len(names)}"
    for what in results[0]:
        yield f"| {what} | {' | '.join(result[what] for result in results)} |"
    requests, spent = a_request()
    yield (
        f"\nA request more, of {requests:,} with ten jobs each: {spent.seconds * 1000:.1f} ms "
        f"({spent.processor * 1000:.1f} ms of the processor) from a simulator without latency on the same machine; add "
        "the API's own latency, divided by `concurrency`."
    )


def measured(warehouse: Warehouse) -> dict[str, str]:
    """Measure loads into a warehouse; return the cells of its column by row title."""
    with ExitStack() as stack:
        server, here, environment = begun(stack, warehouse, "--jobs", "0")
        load(here, environment)
        start = median_of(load(here, environment) for _ in range(3))
    with ExitStack() as stack:
        server, here, environment = begun(stack, warehouse, "--jobs", str(JOBS), "--days", "300")
        job = load(here, environment).less(start, JOBS // 1000)
    with ExitStack() as stack:
        server, here, environment = begun(stack, warehouse, "--jobs", "200", "--days", "10")
        for number in range(TENANTS):
            environment[f"SOURCES__AVEPOINT_M365__TENANTS__TENANT{number:02}__PAGE_SIZE"] = "500"
        first = load(here, environment, "--all-tenants").less(start, TENANTS)
        before = server.counts()["requests"]
        again = load(here, environment, "--all-tenants").less(start, TENANTS)
        asked = (server.counts()["requests"] - before) / TENANTS
    return {
        "a load of one tenant without jobs: start-up": str(start),
        "1,000 jobs more, first load": str(job),
        f"a tenant more with 200 jobs, first load, {TENANTS} in one process": str(first),
        "the same with nothing new": str(again),
        "requests of the latter": f"{asked:.0f}",
        "peak memory of the latter": f"{again.peak:.0f} MB",
    }


def begun(stack: ExitStack, warehouse: Warehouse, *world: str) -> tuple[Server, Path, dict[str, str]]:
    """Start a server; return it with an empty folder for loads and their environment."""
    server = stack.enter_context(simulator(*world))
    here, environment = stack.enter_context(warehouse())
    return server, here, {**settings(server), **environment}


def median_of(runs: Iterator[Spent]) -> Spent:
    """Return the medians of the costs of several runs."""
    all_of = list(runs)
    return Spent(*(median(getattr(item, name) for item in all_of) for name in ("seconds", "processor", "peak")))


def a_request() -> tuple[int, Spent]:
    """Return the number of additional requests that small pages need, and the cost of each."""
    spent, asked = [], []
    for size in ("500", "10"):
        with ExitStack() as stack:
            server, here, environment = begun(stack, duckdb, "--jobs", "5000")
            spent.append(load(here, {**environment, "SOURCES__AVEPOINT_M365__PAGE_SIZE": size}))
            asked.append(server.counts()["requests"])
    return asked[1] - asked[0], spent[1].less(spent[0], asked[1] - asked[0])


def main() -> None:
    """Measure the chosen warehouses, and write the table into docs/scaling.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=WAREHOUSES, action="append", help="a warehouse; repeatable")
    lines = [""]
    for line in costs(parser.parse_args().only or list(WAREHOUSES)):
        print(line, flush=True)
        lines.append(line)
    write("costs", lines)


if __name__ == "__main__":
    main()
