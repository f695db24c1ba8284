"""Measure workers that share only a PostgreSQL warehouse, and kill some at random; write into docs/scaling.md.

Run it with ``make test-workers``. It requires a PostgreSQL server, ``M365_TEST_POSTGRES`` or postgres at
127.0.0.1:5432, and creates a database there for each measure. It exits with 1 if a tenant's rows differ from those of
its server.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import fill
from types import MappingProxyType

from avepoint_simulator import Simulator, make_world

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.truth import on_server  # noqa: E402
from tests.support.warehouse import Warehouse, administer, database  # noqa: E402

BEGIN, END = "<!-- measured: {} -->", "<!-- until here -->"
"""Lines before and after the text of a measure in docs/scaling.md."""
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
LEASE = 10
"""Seconds of a lease here, so that takeovers occur; 60 in the product."""
SIDE_BY_SIDE = 3
"""Tenants that a worker loads in parallel here, so that few tenants suffice for many workers; 8 in the product."""
COMMAND = f"from m365_jobs.cli.app import main; from m365_jobs.locks import base; base.LEASE_SECONDS = {LEASE}; main()"
ROUND = ("--skip-loaded-within", "10h")
JOBS = 100
PAUSE = 8
"""Seconds between two starts of the same worker."""


@dataclass
class Fleet:
    """Hold tenants with a simulator each, a database, and the workers that load the tenants into it."""

    folder: Path
    address: str
    tenants: dict[str, Simulator]
    environment: dict[str, str] = field(default_factory=dict)
    side_by_side: int = SIDE_BY_SIDE
    started: int = 0

    def __post_init__(self) -> None:
        self.environment = {
            **os.environ, "DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": self.address
        } | self.environment  # fmt: skip
        for name, simulator in self.tenants.items():
            prefix = f"SOURCES__AVEPOINT_M365__TENANTS__{name.upper()}__"
            self.environment |= {
                f"{prefix}BASE_URL": simulator.base_url,
                f"{prefix}TOKEN_URL": simulator.token_url,
                f"{prefix}CREDENTIALS__CLIENT_ID": simulator.client_id,
                f"{prefix}CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
            }

    def start(self, machine: int) -> subprocess.Popen[str]:
        """Start a worker in the folder of a machine; it loads tenants that no worker has loaded in this round."""
        self.started += 1
        home = self.folder / str(machine)
        home.mkdir(exist_ok=True)
        return subprocess.Popen(
            [
                sys.executable,
                "-c",
                COMMAND,
                "load",
                "--all-tenants",
                *ROUND,
                "--parallel-tenants",
                str(self.side_by_side),
            ],
            cwd=home,
            env={**self.environment, "DLT_DATA_DIR": str(home / "dlt")},
            stderr=(home / "said").open("a"),
            text=True,
        )

    def left(self) -> int:
        """Return the number of tenants without a finished load in this round."""
        try:
            rows = administer("SELECT count(ended_at) FROM m365_jobs.load_leases", address=self.address)
        except Exception as error:
            if "does not exist" not in str(error):
                raise
            return len(self.tenants)
        return len(self.tenants) - int(rows[0][0])

    def next_round(self) -> None:
        """Move the servers' clocks forward by hours, and reset the leases, so that each tenant is loaded again."""
        for simulator in self.tenants.values():
            simulator.world.advance(timedelta(hours=7))
        administer("UPDATE m365_jobs.load_leases SET ended_at = NULL", address=self.address)

    def count_lines(self, text: str) -> int:
        """Count how often a text occurs in the output of the workers."""
        return sum(file.read_text().count(text) for file in self.folder.glob("*/said"))

    def wrong(self) -> list[str]:
        """Return the tenants whose rows differ from those of their server."""
        os.environ |= {"DESTINATION__POSTGRES__CREDENTIALS": self.address, "DLT_DATA_DIR": str(self.folder / "look")}
        place = Warehouse("postgres")
        return [name for name, item in self.tenants.items() if place.contents(name) != on_server(item.world, False)]

    def doubled(self) -> int:
        """Return the number of runs that are recorded twice."""
        rows = "SELECT 1 FROM m365_jobs.load_runs GROUP BY run_id HAVING count(*) > 1"
        return len(administer(rows, address=self.address))


@contextmanager
def fleet(
    tenants: int,
    latency: float = 0.0,
    environment: Mapping[str, str] = MappingProxyType({}),
    side_by_side: int = SIDE_BY_SIDE,
) -> Iterator[Fleet]:
    """Create tenants with simulators and a database, and remove all of them afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = stack.enter_context(database())
        simulators = {
            f"t{number:02}": stack.enter_context(Simulator(make_world(JOBS, number, NOW, 10), latency=latency))
            for number in range(tenants)
        }
        yield Fleet(folder, address, simulators, dict(environment), side_by_side)


def killed_at_random(workers: int, tenants: int, kills: int, rounds: int, dice: random.Random) -> Iterator[str]:
    """Run rounds of workers, and kill some of them; some new workers start on a new machine."""
    yield f"### {workers} workers, {tenants} tenants, {kills} kills a round\n"
    yield "| round | seconds | starts | kills | tenants left out | leases lost | other failures | wrong rows |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    with fleet(tenants) as first:
        machines = 0
        for number in range(1, rounds + 1):
            began, killed, started = time.monotonic(), 0, first.started
            running: dict[int, subprocess.Popen[str]] = {}
            next_kill, last = began + 8, dict.fromkeys(range(workers), 0.0)
            while left := first.left():
                for slot in range(workers):
                    ended = slot not in running or running[slot].poll() is not None
                    if ended and time.monotonic() > last[slot] + PAUSE:
                        # A scheduler would start the worker again, too; about a third start on a new machine.
                        machines += dice.random() < 1 / 3
                        running[slot], last[slot] = first.start(slot + workers * machines), time.monotonic()
                if killed < kills and time.monotonic() > next_kill:
                    running[dice.choice(sorted(running))].kill()
                    killed += 1
                    next_kill = time.monotonic() + dice.uniform(2, 10)
                time.sleep(0.5)
                print(f"round {number}: {left} left, {killed} killed", file=sys.stderr)
            for process in running.values():
                process.wait()
            wrong, seconds = first.wrong(), time.monotonic() - began
            # The outputs contain the lines of all rounds so far.
            outs, lost, other = (first.count_lines(text) for text in ("left out", "another took its place", "failed ("))
            row = (number, f"{seconds:.0f}", first.started - started, killed, outs, lost, other - lost, len(wrong))
            yield f"| {' | '.join(map(str, row))} |"
            if wrong or first.doubled():
                raise SystemExit(f"Tenants with wrong rows: {wrong}. Runs recorded twice: {first.doubled()}.")
            first.next_round()
    yield (
        f"\nEach tenant has a simulator of its own with {JOBS} jobs, whose clock advances by seven hours after each "
        "round. Left out are those that another held or had loaded; wrong rows are counted in tenants. Leases last "
        f"{LEASE} s here. No run is recorded twice."
    )


def growth(counts: tuple[int, ...]) -> Iterator[str]:
    """Measure a first round and a round with nothing new, by number of workers; processors are the limit."""
    yield "### 24 tenants, an API without latency: processors are the limit\n"
    yield from _by_workers(counts, lambda: fleet(24))


def waiting(counts: tuple[int, ...]) -> Iterator[str]:
    """Measure the same rounds when the API is the limit."""
    yield "### 8 tenants, one request at a time with 150 ms each, one tenant at a time: the API is the limit\n"
    one_request = {"SOURCES__AVEPOINT_M365__CONCURRENCY": "1"}
    yield from _by_workers(counts, lambda: fleet(8, 0.15, one_request, side_by_side=1))


def _by_workers(counts: tuple[int, ...], make: Callable[[], AbstractContextManager[Fleet]]) -> Iterator[str]:
    yield "| workers | first load | tenants a second | next load | tenants a second |\n|---:|---:|---:|---:|---:|"
    for workers in counts:
        with make() as first:
            yield f"| {workers} | " + " | ".join(_round(first, workers)) + " |"


def staging(tenants: int, workers: int) -> Iterator[str]:
    """Compare merges through one staging dataset with merges through sixteen, as in the product."""
    yield f"### One staging dataset or sixteen: {workers} workers, {tenants} tenants\n"
    yield "| staging datasets | first load | tenants a second | next load | tenants a second |"
    yield "|---:|---:|---:|---:|---:|"
    for count, environment in ((1, {"DESTINATION__POSTGRES__STAGING_DATASET_NAME_LAYOUT": "%s_staging"}), (16, {})):
        with fleet(tenants, environment=environment) as first:
            yield f"| {count} | " + " | ".join(_round(first, workers)) + " |"


def _round(fleet: Fleet, workers: int) -> Iterator[str]:
    for number in range(2):
        if number:
            fleet.next_round()
        began = time.monotonic()
        processes = [fleet.start(machine) for machine in range(workers)]
        codes = [process.wait() for process in processes]
        seconds = time.monotonic() - began
        if any(codes) or fleet.left() or fleet.wrong():
            raise SystemExit("\n".join(file.read_text()[-2000:] for file in fleet.folder.glob("*/said")))
        yield f"{seconds:.1f} s"
        yield f"{len(fleet.tenants) / seconds:.2f}"


def main() -> None:
    """Run all measures, or the one that the user names, and write the results into docs/scaling.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("killed", "growth", "waiting", "staging"))
    given = parser.parse_args()
    counts = (1, 2, 4, 8)
    note = f"A worker loads {SIDE_BY_SIDE} tenants side by side here, unless it says otherwise (8 in the product)."
    parts = {
        "killed": [killed_at_random(given.workers, given.tenants, given.kills, 2, random.Random(given.seed))],
        "growth": [growth(counts)],
        "waiting": [waiting(counts)],
        "staging": [staging(24, given.workers)],
    }
    for name, measures in parts.items():
        if given.only in (None, name):
            write(name, ["", note, *(line for measure in measures for line in lines_of(measure))])


def lines_of(measure: Iterator[str]) -> Iterator[str]:
    """Yield an empty line, then each line of a measure, and print it at once."""
    yield ""
    for line in measure:
        print(line, flush=True)
        yield line


def write(name: str, lines: list[str]) -> None:
    """Write the lines of a measure into their place in docs/scaling.md."""
    load, _, _ = os.getloadavg()
    when = (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC with Python {sys.version.split()[0]} on {os.cpu_count()} "
        f"cores, which loads, simulators and PostgreSQL shared with other programs (load average {load:.1f})."
    )
    page, begin = ROOT / "docs" / "scaling.md", BEGIN.format(name)
    head, _, rest = page.read_text(encoding="utf-8").partition(begin)
    # A measure that the page does not contain yet is added at the end of the page.
    head, tail = (head, rest.partition(END)[2]) if rest else (f"{head.rstrip()}\n\n", "\n")
    shown = [item if item.startswith(("|", "#")) else fill(item, 120) for item in "\n".join([when, *lines]).split("\n")]
    page.write_text(head + "\n".join([begin, *shown, END]) + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
