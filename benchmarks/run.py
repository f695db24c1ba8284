"""Measure whole processes against a simulator in its own process, and write the figures to docs/benchmarks.md.

``make bench`` measures all parts, and ``python -m benchmarks.run growth start`` two of them. The figures come from one
machine: compare ratios, not seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median

import duckdb

ROOT = Path(__file__).parent.parent
ALTERNATIVES = str(ROOT / "benchmarks" / "alternatives.py")


@dataclass
class Server:
    """Control a simulator that runs in its own process."""

    process: subprocess.Popen[str]
    where: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Return the number of requests so far, and the largest number that was in flight at once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counts: dict[str, int] = json.loads(self.process.stdout.readline())
        return counts


@contextmanager
def simulator(*arguments: str) -> Iterator[Server]:
    """Run ``python -m avepoint_simulator``, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "avepoint_simulator", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Server(process, json.loads(process.stdout.readline()))
    finally:
        process.communicate()


def run(folder: Path, *command: str, **settings: str) -> float:
    """Return the seconds from start to exit of a process that works and stores its state in ``folder``."""
    environment = {**os.environ, "DLT_DATA_DIR": str(folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false", **settings}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command} exited {done.returncode}\n{done.stderr[-3000:]}")
    return time.monotonic() - began


def settings(server: Server, **more: str) -> dict[str, str]:
    """Return the environment variables with which ``m365-jobs`` uses a simulator."""
    prefix = "SOURCES__AVEPOINT_M365__"
    given = {
        "BASE_URL": server.where["base_url"],
        "TOKEN_URL": server.where["token_url"],
        "CREDENTIALS__CLIENT_ID": server.where["client_id"],
        "CREDENTIALS__CLIENT_SECRET": server.where["client_secret"],
        **more,
    }
    return {prefix + key: value for key, value in given.items()}


def load(folder: Path, server: Server, **more: str) -> float:
    """Run ``m365-jobs load``, and return its seconds."""
    return run(folder, "-m", "m365_jobs", "load", **settings(server, **more))


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty directory."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def throughput(jobs: int) -> Iterator[str]:
    """Compare ``m365-jobs load`` with the alternatives: into DuckDB, from a server without latency."""
    titles = {
        "rest_api": "plain dlt rest_api source",
        "rest_api_parquet": "the same with loader_file_format parquet",
        "raw_duckdb": "DuckDB reading the same JSON from disk",
        "ready_tables": "dlt merging the same three tables, read from Parquet files",
        "two_rows": "a dlt pipeline that loads two rows, and nothing else",
    }
    with simulator("--jobs", str(jobs), "--days", "300") as server, folder() as pages:
        where = json.dumps(server.where)
        run(pages, ALTERNATIVES, "save_pages", where, str(pages))
        ours, others = [], dict[str, list[float]]()
        for _ in range(3):
            with folder() as here:
                ours.append(load(here, server))
            for name in titles:
                if name == "rest_api" and name in others:
                    continue  # It lasts as long as all others together; one run is enough.
                with folder() as here:
                    target = pages if name in ("raw_duckdb", "ready_tables") else here
                    (pages / "raw.duckdb").unlink(missing_ok=True)
                    others.setdefault(name, []).append(run(here, ALTERNATIVES, name, where, str(target)))
    seconds = median(ours)
    yield f"## Throughput: {jobs:,} jobs, a fifth with errors\n"
    yield "Medians of three runs in turn, of one for the plain source.\n"
    yield "| what | seconds | times ours |\n|---|---:|---:|"
    yield f"| `m365-jobs load` | {seconds:.1f} | 1 |"
    for name, title in titles.items():
        yield f"| {title} | {median(others[name]):.1f} | {median(others[name]) / seconds:.2f} |"


def latency() -> Iterator[str]:
    """Measure a load of 24 partitions by job type, with 100 ms per request and 8 requests in flight."""
    locations = {"LOCATIONS": '["NAM", "EUR"]'}

    def median_load(server: Server) -> float:
        seconds = []
        for _ in range(3):
            with folder() as here:
                seconds.append(load(here, server, **locations))
        return median(seconds)

    with simulator("--jobs", "0", "--locations", "NAM", "EUR") as server:
        start = median_load(server)
    with simulator("--jobs", "5000", "--latency", "0.1", "--locations", "NAM", "EUR") as server:
        seconds = median_load(server)
        counts = server.counts()
    requests = counts["requests"] // 3
    ideal = requests * 0.1 / 8
    yield "## Latency: 24 partitions by job type, 100 ms a request, 8 in flight\n"
    yield "Medians of three loads. Start-up is one of an empty tenant: imports, dlt, and the file of the warehouse.\n"
    yield "| requests | most in flight | requests x latency / 8 | load | start-up | ratio without start-up |"
    yield "|---:|---:|---:|---:|---:|---:|"
    yield (
        f"| {requests} | {counts['most_in_flight']} | {ideal:.1f} s | {seconds:.1f} s | {start:.1f} s | "
        f"{(seconds - start) / ideal:.2f} |"
    )


def throttling() -> Iterator[str]:
    """Measure loads from a server that refuses requests above a limit per second."""
    yield "## Throttling\n"
    yield "`start-up` as above; 429s are what was sent in vain.\n"
    yield "| limit a second | requests served | 429s | load without start-up | served / limit | ratio |"
    yield "|---:|---:|---:|---:|---:|---:|"
    with simulator("--jobs", "0") as server, folder() as here:
        start = load(here, server)
    for limit in (5, 20):
        with simulator("--jobs", "3000", "--per-second", str(limit)) as server, folder() as here:
            seconds = load(here, server, PAGE_SIZE="50") - start
            with_429s = server.counts()["requests"]
            with duckdb.connect(str(here / "m365_warehouse.duckdb"), read_only=True) as warehouse:
                result = warehouse.execute("SELECT sum(requests) FROM m365_jobs.load_audit").fetchone()
            served = int(result[0]) if result else 0
            ideal = served / limit
            refused = with_429s - served
            yield f"| {limit} | {served} | {refused} | {seconds:.1f} s | {ideal:.1f} s | {seconds / ideal:.2f} |"


def growth(sizes: tuple[int, ...]) -> Iterator[str]:
    """Measure first loads, their memory, and loads with nothing or little new, for several numbers of jobs."""
    yield "## Growth: jobs over 600 days\n"
    yield "| jobs | first load | peak memory | load with nothing new | backfill of about 1,000 jobs |"
    yield "|---:|---:|---:|---:|---:|"
    for jobs in sizes:
        with simulator("--jobs", str(jobs), "--days", "600") as server, folder() as here:
            measure = (
                "import resource, subprocess, sys;"
                "subprocess.run([sys.executable, '-m', 'm365_jobs', 'load'], check=True);"
                "open('peak', 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
            )
            first = run(here, "-c", measure, **settings(server))
            peak = int((here / "peak").read_text()) / 1024
            again = median([load(here, server) for _ in range(3)])
            begin = datetime.now(UTC) - timedelta(days=100)
            span = ["--since", begin.isoformat(), "--until", (begin + timedelta(days=600_000 / jobs)).isoformat()]
            command = ("-m", "m365_jobs", "load", *span)
            little = median([run(here, *command, **settings(server)) for _ in range(3)])
            yield f"| {jobs:,} | {first:.1f} s | {peak:.0f} MB | {again:.1f} s | {little:.1f} s |"


def many_tenants(count: int) -> Iterator[str]:
    """Measure loads of many small tenants in one process."""
    with simulator("--jobs", "200", "--days", "10") as server, folder() as here:
        common = settings(server)
        names = [f"tenant{number:03}" for number in range(count)]
        tenants = {f"SOURCES__AVEPOINT_M365__TENANTS__{name.upper()}__PAGE_SIZE": "500" for name in names}
        command = ("-m", "m365_jobs", "load", "--all-tenants")
        first = run(here, *command, **common, **tenants)
        before = server.counts()["requests"]
        again = run(here, *command, **common, **tenants)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        asked = server.counts()["requests"] - before
    yield f"## {count} tenants of 200 jobs each, one process\n"
    yield "| load | requests | seconds | seconds a tenant |\n|---|---:|---:|---:|"
    yield f"| first | {before} | {first:.0f} | {first / count:.2f} |"
    yield f"| nothing new | {asked} | {again:.0f} | {again / count:.2f} |"
    yield f"\nPeak memory of the largest process so far: {peak:.0f} MB."


def completeness() -> Iterator[str]:
    """Compare what is in the warehouse after two weeks with what users write instead."""
    command = [sys.executable, "-m", "benchmarks.completeness"]
    yield subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.rstrip()


def marts() -> Iterator[str]:
    """Measure the views and worked questions on a large warehouse."""
    script = str(ROOT / "benchmarks" / "marts.py")
    yield subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout.rstrip()


def dashboard() -> Iterator[str]:
    """Measure the first pages and the filters of the dashboard on a large warehouse, in a browser."""
    script = str(ROOT / "benchmarks" / "dashboard.py")
    yield subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout.rstrip()


def start() -> Iterator[str]:
    """Measure the seconds of commands that do little."""
    yield "## Start\n"
    yield "| command | seconds |\n|---|---:|"
    with folder() as here:
        for arguments in (["--help"], ["status"]):
            seconds = min(run(here, "-m", "m365_jobs", *arguments) for _ in range(3))
            yield f"| `m365-jobs {' '.join(arguments)}` | {seconds:.2f} |"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "completeness": completeness,
    "throughput": lambda: throughput(100_000),
    "latency": latency,
    "throttling": throttling,
    "growth": lambda: growth((10_000, 100_000, 1_000_000)),
    "tenants": lambda: many_tenants(50),
    "marts": marts,
    "dashboard": dashboard,
    "start": start,
}
"""The measured parts of docs/benchmarks.md by name, in their order."""

PAGE = ROOT / "docs" / "benchmarks.md"
MARKS = "<!-- measured: {name} -->\n\n", "\n<!-- end -->\n"
"""Lines before and after a measured part of the page. Authors write the text between the parts."""


def replace_part(page: str, name: str, measured: str) -> str:
    """Return the page with the new measurement of a part in place of the last one."""
    begin, end = MARKS[0].format(name=name), MARKS[1]
    before, mark, rest = page.partition(begin)
    if not mark:
        raise SystemExit(f"Part missing: docs/benchmarks.md has no line {begin.strip()}. Add it, and {end.strip()}.")
    _, _, after = rest.partition(end)
    return before + begin + measured + end + after


def main() -> None:
    """Measure all parts, or those that the user names, and write each into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    selected = parser.parse_args().parts or list(PARTS)
    if unknown := set(selected) - PARTS.keys():
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    versions = ", ".join(f"{name} {version(name)}" for name in ("dlt", "duckdb", "pyarrow"))
    for name in selected:
        title, _, text = "\n".join(PARTS[name]()).partition("\n")
        measured = f"{title}\n\nMeasured {datetime.now(UTC):%Y-%m-%d} with {versions}.\n{text}\n"
        print(measured, flush=True)
        PAGE.write_text(replace_part(PAGE.read_text(encoding="utf-8"), name, measured), encoding="utf-8")


if __name__ == "__main__":
    main()
