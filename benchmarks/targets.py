"""Compare this tree with a baseline: requests, instructions, tenants, latency and start-up.

``make bench`` prints these tables first. The variable M365_BASELINE names a checkout with an environment of its own:

    git worktree add ../baseline COMMIT
    make -C ../baseline setup
    M365_BASELINE=../baseline make bench
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from benchmarks.run import Server, settings, simulator
from benchmarks.trees import NO_VALGRIND, Tree, first_byte, folder, in_turns, instructions, run, trees

LOAD = ("-m", "m365_jobs", "load")
TURNS = 3
NO_COMPANIONS = {"SOURCES__AVEPOINT_M365__INCLUDE": "none"}
"""The tables compare how jobs are read. Companions are other resources, which the baseline may not have."""


def table(title: str, unit: str, rows: dict[str, dict[Tree, float | None]], digits: int = 0) -> Iterator[str]:
    """Yield a table with a column for each tree, and the ratio of this tree to the baseline."""
    columns = trees()
    yield f"## {title}\n"
    names = [tree.name for tree in columns] + (["ratio"] if len(columns) > 1 else [])
    yield f"| {unit} | {' | '.join(names)} |"
    yield f"|---|{'---:|' * len(names)}"
    for what, values in rows.items():
        results = [values[tree] for tree in columns]
        cells = ["not measured" if value is None else f"{value:,.{digits}f}" for value in results]
        if len(results) > 1:
            today, baseline = results
            cells.append(f"{today / baseline:.2f}" if today is not None and baseline else "not measured")
        yield f"| {what} | {' | '.join(cells)} |"


def requests() -> Iterator[str]:
    """Count the requests for jobs in first loads, later loads and the demo."""
    three = {"LOCATIONS": '["NAM", "EUR", "APC"]'}
    rows: dict[str, dict[Tree, float | None]] = {}
    for jobs, world, item in (
        (5_000, (), {}),
        (50_000, (), {}),
        (5_000, ("--locations", "NAM", "EUR", "APC"), three),
    ):
        place = f"{jobs:,} jobs in 30 days{', three locations' if item else ''}"
        for tree in trees():
            with simulator("--jobs", str(jobs), *world) as server, folder() as here:
                for load in ("first load", "nothing new"):
                    count = _requests_of_load(tree, here, server, **item)
                    rows.setdefault(f"{load}, {place}", {})[tree] = count
    for tree in trees():
        with folder() as here:
            run(tree.python, here, "-m", "m365_jobs", "demo", variables=NO_COMPANIONS)
            with duckdb.connect(str(here / "m365_warehouse.duckdb"), read_only=True) as warehouse:
                sql = "SELECT requests FROM m365_jobs.load_runs ORDER BY started_at DESC LIMIT 1"
                (result,) = warehouse.execute(sql).fetchall()
            rows.setdefault("second load of the demo, with its token", {})[tree] = result[0]
    yield from table("Requests", "requests", rows)


def _requests_of_load(tree: Tree, here: Path, server: Server, **options: str) -> float:
    before = server.counts()["requests"]
    run(tree.python, here, *LOAD, variables={**settings(server, **options), **NO_COMPANIONS})
    return server.counts()["requests"] - before


def tenants(count: int) -> Iterator[str]:
    """Measure loads of many tenants in one process, with nothing new."""
    rows: dict[str, dict[Tree, float | None]] = {}
    for tree in trees():
        with simulator("--jobs", "200", "--days", "10") as server, folder() as here:
            names = {f"SOURCES__AVEPOINT_M365__TENANTS__TENANT{number:03}__PAGE_SIZE": "500" for number in range(count)}
            variables = {**settings(server), **NO_COMPANIONS, **names}
            run(tree.python, here, *LOAD, "--all-tenants", variables=variables)
            before = server.counts()["requests"]
            rows.setdefault("seconds", {})[tree] = run(tree.python, here, *LOAD, "--all-tenants", variables=variables)
            rows.setdefault("requests a tenant", {})[tree] = (server.counts()["requests"] - before) / count
    yield from table(f"{count} tenants of 200 jobs, nothing new, one process", "figure", rows, 1)


def latency() -> Iterator[str]:
    """Measure a load with nothing new at 500 ms per request, and subtract the same load without latency."""
    rows: dict[str, dict[Tree, float | None]] = {"seconds without start-up": {}}
    for tree in trees():
        seconds = []
        for delay in ("0.5", "0"):
            with simulator("--jobs", "5000", "--latency", delay) as server, folder() as here:
                variables = {**settings(server), **NO_COMPANIONS}
                run(tree.python, here, *LOAD, variables=variables)
                seconds.append(in_turns({tree: _load(tree, here, variables)}, TURNS)[tree])
        rows["seconds without start-up"][tree] = seconds[0] - seconds[1]
    yield from table("Nothing new at 500 ms a request, 8 in flight", "figure", rows, 2)


def _load(tree: Tree, here: Path, variables: dict[str, str]) -> Callable[[], float]:
    return lambda: run(tree.python, here, *LOAD, variables=variables)


READERS = (["status"], ["health", "--format", "json"], ["check"], ["query", "SELECT 1"])
"""Commands that read, with their arguments."""


def start_up() -> Iterator[str]:
    """Measure the seconds until commands that read print their first byte."""
    rows: dict[str, dict[Tree, float | None]] = {}
    for arguments in READERS:
        with simulator("--jobs", "5000") as server, folder() as root:
            variables = {**settings(server), **NO_COMPANIONS}
            measures = {}
            for tree in trees():
                here = root / tree.name
                here.mkdir()
                run(tree.python, here, *LOAD, variables=variables)
                measures[tree] = _first_byte(tree, here, arguments, variables)
            rows[f"`{' '.join(arguments)}`"] = {**in_turns(measures, TURNS)}
    yield from table("Seconds to the first byte", "command", rows, 2)


def _first_byte(tree: Tree, here: Path, arguments: list[str], variables: dict[str, str]) -> Callable[[], float]:
    return lambda: first_byte(tree.python, here, "-m", "m365_jobs", *arguments, variables=variables)


def instruction_counts(jobs: int) -> Iterator[str]:
    """Count instructions of imports and loads with callgrind."""
    rows: dict[str, dict[Tree, float | None]] = {}
    for tree in trees():
        with folder() as here:
            for statement in ("import dlt", "import avepoint_m365"):
                rows.setdefault(f"`{statement}`", {})[tree] = instructions(tree.python, here, "-c", statement)
        for size, what in ((0, "load of an empty tenant"), (5_000, "load with nothing new")):
            with simulator("--jobs", str(size)) as server, folder() as here:
                variables = {**settings(server), **NO_COMPANIONS}
                run(tree.python, here, *LOAD, variables=variables)
                rows.setdefault(what, {})[tree] = instructions(tree.python, here, *LOAD, variables=variables)
                for command in READERS if size else ():
                    count = instructions(tree.python, here, "-m", "m365_jobs", *command, variables=variables)
                    rows.setdefault(f"`{' '.join(command)}`", {})[tree] = count
        with simulator("--jobs", str(jobs), "--days", "300") as server, folder() as here:
            variables = {**settings(server), **NO_COMPANIONS}
            rows.setdefault(f"first load of {jobs:,} jobs", {})[tree] = instructions(
                tree.python, here, *LOAD, variables=variables
            )
    yield from table("Billions of instructions (callgrind)", "process", rows, 2)
    if all(value is None for values in rows.values() for value in values.values()):
        yield f"\n{NO_VALGRIND}"


def parts(tenant_count: int, jobs: int) -> dict[str, Callable[[], Iterator[str]]]:
    """Return the tables by name."""
    return {
        "requests": requests,
        "tenants": lambda: tenants(tenant_count),
        "latency": latency,
        "start": start_up,
        "instructions": lambda: instruction_counts(jobs),
    }


def main() -> None:
    """Print all tables, or those that the user names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=50, help="number of tenants that one process loads")
    parser.add_argument("--jobs", type=int, default=100_000, help="jobs of the first load that counts instructions")
    known = parts(0, 0)
    parser.add_argument("--only", choices=known, action="append", help="a table; repeatable")
    selected = parser.parse_args()
    for name, part in parts(selected.tenants, selected.jobs).items():
        if not selected.only or name in selected.only:
            for line in part():
                print(line, flush=True)
            print(flush=True)


if __name__ == "__main__":
    main()
