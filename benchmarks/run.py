"""Measures whole processes against a simulator in a process of its own, and writes docs/benchmarks.md.

Run it with ``make bench``. Every figure is of one run on one machine: compare ratios, not seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ALTERNATIVES = str(ROOT / "benchmarks" / "alternatives.py")


@dataclass
class Server:
    """A simulator in a process of its own."""

    process: subprocess.Popen[str]
    where: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Requests so far, and the most that were in flight at once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counts: dict[str, int] = json.loads(self.process.stdout.readline())
        return counts


@contextmanager
def simulator(*arguments: str) -> Iterator[Server]:
    """Starts ``python -m avepoint_simulator`` and ends it."""
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
    """Seconds from start to exit of a process with its home and working directory in ``folder``."""
    environment = {**os.environ, "DLT_DATA_DIR": str(folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false", **settings}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command} exited {done.returncode}\n{done.stderr[-3000:]}")
    return time.monotonic() - began


def settings(server: Server, **more: str) -> dict[str, str]:
    """Environment variables that point ``m365-jobs`` at a simulator."""
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
    """Seconds that ``m365-jobs load`` takes."""
    return run(folder, "-m", "m365_jobs", "load", **settings(server, **more))


@contextmanager
def folder() -> Iterator[Path]:
    """An empty directory."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def throughput(jobs: int) -> Iterator[str]:
    """Ours against the alternatives, into DuckDB, from a server without latency."""
    with simulator("--jobs", str(jobs), "--days", "300") as server, folder() as raw:
        where = json.dumps(server.where)
        with folder() as ours:
            seconds = load(ours, server)
        others = {}
        for name in ("rest_api", "rest_api_parquet"):
            with folder() as theirs:
                others[name] = run(theirs, ALTERNATIVES, name, where, str(theirs))
        run(raw, ALTERNATIVES, "save_pages", where, str(raw))
        others["raw_duckdb"] = run(raw, ALTERNATIVES, "raw_duckdb", where, str(raw))
    yield f"## Throughput: {jobs:,} jobs, a fifth with errors\n"
    yield "| what | seconds | times ours |\n|---|---:|---:|"
    yield f"| `m365-jobs load` | {seconds:.1f} | 1 |"
    titles = {
        "rest_api": "plain dlt rest_api source",
        "rest_api_parquet": "the same with loader_file_format parquet",
        "raw_duckdb": "DuckDB reading the same JSON from disk",
    }
    for name, other in others.items():
        yield f"| {titles[name]} | {other:.1f} | {other / seconds:.2f} |"


def latency() -> Iterator[str]:
    """24 partitions split by job type, 100 ms a request, 8 in flight."""
    with simulator("--jobs", "5000", "--latency", "0.1", "--locations", "NAM", "EUR") as server, folder() as here:
        start = run(here, "-c", "import m365_jobs.load")
        seconds = load(here, server, LOCATIONS='["NAM", "EUR"]')
        counts = server.counts()
    ideal = counts["requests"] * 0.1 / 8
    yield "## Latency: 24 partitions by job type, 100 ms a request, 8 in flight\n"
    yield "| requests | most in flight | requests x latency / 8 | load | start-up | ratio without start-up |"
    yield "|---:|---:|---:|---:|---:|---:|"
    yield (
        f"| {counts['requests']} | {counts['most_in_flight']} | {ideal:.1f} s | {seconds:.1f} s | {start:.1f} s | "
        f"{(seconds - start) / ideal:.2f} |"
    )


def requests_per_load() -> Iterator[str]:
    """How many requests a load takes."""
    yield "## Requests per load, twelve object types, no locations\n"
    yield "| tenant | first load | next load, nothing new |\n|---|---:|---:|"
    for jobs in (0, 5_000, 50_000):
        with simulator("--jobs", str(jobs)) as server, folder() as here:
            load(here, server)
            first = server.counts()["requests"]
            load(here, server)
            yield f"| {jobs:,} jobs in 30 days | {first} | {server.counts()['requests'] - first} |"


def growth(sizes: tuple[int, ...]) -> Iterator[str]:
    """Memory and the cost of a load with nothing new, by size of the warehouse."""
    yield "## Growth: jobs over 600 days\n"
    yield "| jobs | first load | peak memory | load with nothing new |\n|---:|---:|---:|---:|"
    for jobs in sizes:
        with simulator("--jobs", str(jobs), "--days", "600") as server, folder() as here:
            measure = (
                "import resource, subprocess, sys;"
                "subprocess.run([sys.executable, '-m', 'm365_jobs', 'load'], check=True);"
                "open('peak', 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
            )
            first = run(here, "-c", measure, **settings(server))
            peak = int((here / "peak").read_text()) / 1024
            again = load(here, server)
            yield f"| {jobs:,} | {first:.1f} s | {peak:.0f} MB | {again:.1f} s |"


def marts() -> Iterator[str]:
    """Views and worked questions on a large warehouse."""
    script = str(ROOT / "benchmarks" / "marts.py")
    yield subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout.rstrip()


def start() -> Iterator[str]:
    """Seconds until commands that do little are done."""
    yield "## Start\n"
    yield "| command | seconds |\n|---|---:|"
    with folder() as here:
        for arguments in (["--help"], ["status"]):
            seconds = min(run(here, "-m", "m365_jobs", *arguments) for _ in range(3))
            yield f"| `m365-jobs {' '.join(arguments)}` | {seconds:.2f} |"


def main() -> None:
    """Runs all measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="also with 1,000,000 jobs, which takes long")
    full = parser.parse_args().full
    sizes = (10_000, 100_000, *((1_000_000,) if full else ()))
    versions = ", ".join(f"{name} {version(name)}" for name in ("dlt", "duckdb", "pyarrow"))
    parts: list[Any] = [throughput(100_000), latency(), requests_per_load(), growth(sizes), marts(), start()]
    lines = [
        "# Benchmarks\n",
        f"Made by `make bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {sys.version.split()[0]}, {versions}, "
        f"{os.cpu_count()} cores. Whole processes from start to exit, each run once, the simulator in a process of its "
        "own on the same machine: compare ratios, not seconds.",
    ]
    for part in parts:
        lines.append("")
        for line in part:
            print(line, flush=True)
            lines.append(line)
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
