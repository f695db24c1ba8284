"""Measure the dashboard of 1,000,000 jobs in a real browser, and print a section of docs/benchmarks.md.

With ``--tenants 100`` the jobs belong to 100 tenants, and the first page is the overview of all tenants. The variable
M365_BASELINE names a checkout to compare with, as in benchmarks/targets.py. Then the first two pages of both checkouts
are measured in turns.

The program requires Chromium and chromedriver. The browser measures the times, from the start of the navigation. The
first time ends when the browser shows tiles, the second when it shows the last part of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb
from avepoint_m365.constants import ObjectType
from m365_jobs import marts
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import run as bench  # noqa: E402
from benchmarks.marts import PLACES, TABLES, places_of  # noqa: E402
from benchmarks.trees import Tree, trees  # noqa: E402

PAGES = (("first page", ""), ("next page", ""))

Filters = tuple[tuple[str, str], ...]

HAS = """
const within = root => [...root.querySelectorAll("*")].flatMap(
    part => [part, ...(part.shadowRoot ? within(part.shadowRoot) : [])]
);
return within(document).some(part => part.matches(arguments[0]) && part.textContent.includes(arguments[1]))
    ? performance.now() : null;
"""
"""Returns the time if an element contains the text. Pages of older baselines have parts in shadow roots."""

FIRST = ".verdict, li.tile"
"""Elements that the browser shows first, in this tree and in a baseline."""

FILTERS = (
    ("location: EUR", "?location=EUR"),
    ("service: Teams", "?location=EUR&service=teams"),
    ("time: A year", "?location=EUR&service=teams&days=365"),
    ("time: 30 days again", "?location=EUR&service=teams"),
    ("all services again", "?location=EUR"),
)
"""Name and query of each page; the server has already read the last two."""

OF_TENANTS = (("a tenant", "?tenant=tenant+001"), ("a service of a tenant", "?tenant=tenant+001&service=teams"))
"""Name and query of each page, for a warehouse of many tenants."""


def make(folder: Path, jobs: int, tenants: int = 1) -> None:
    """Create a DuckDB warehouse with the tables and views that loads create."""
    with duckdb.connect(str(folder / "m365_warehouse.duckdb")) as connection:
        begin = datetime.now(UTC) - timedelta(minutes=jobs)
        tables = TABLES.replace("2024-01-01 00:00:00+00", begin.isoformat(timespec="seconds"))
        places = PLACES if tenants == 1 else places_of(tenants)
        connection.execute(tables.format(jobs=jobs, services=[kind.name for kind in ObjectType], **places))
        marts.create_views(connection, "m365_jobs")


def copy(folder: Path, address: str) -> None:
    """Copy the warehouse into an empty PostgreSQL database; a small load first creates tables, indexes and views."""
    import psycopg2

    with bench.simulator("--jobs", "1") as server:
        bench.run(folder, "-m", "m365_jobs", "load", "--destination", "postgres", **bench.settings(server))
    with (
        duckdb.connect(str(folder / "m365_warehouse.duckdb"), read_only=True) as connection,
        psycopg2.connect(address) as postgres,
        postgres.cursor() as cursor,
    ):
        connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
        for name in ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "load_runs"):
            columns = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
            own = ["_dlt_load_id", "_dlt_id"] if name == "load_runs" else []
            rows = folder / f"{name}.csv"
            made = "".join(f", uuid()::VARCHAR AS {column}" for column in own)
            connection.execute(f"COPY (SELECT *{made} FROM {name}) TO '{rows}' (HEADER false)")
            cursor.execute(f"TRUNCATE m365_jobs.{name}")
            with rows.open() as file:
                cursor.copy_expert(f"COPY m365_jobs.{name} ({', '.join(columns + own)}) FROM STDIN (FORMAT csv)", file)
            cursor.execute(f"ANALYZE m365_jobs.{name}")


@contextmanager
def dashboard(folder: Path, *arguments: str, python: str = sys.executable) -> Iterator[tuple[str, int]]:
    """Run ``m365-jobs dashboard`` in its own process; yield its address and process id."""
    command = [python, "-m", "m365_jobs", "dashboard", "--port", "0", *arguments]
    environment = {**os.environ, "DLT_DATA_DIR": str(folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        if not line.startswith("Dashboard: "):
            raise SystemExit(line + process.stderr.read())
        yield line.removeprefix("Dashboard: ").strip(), process.pid
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """Yield a browser window with a new, empty profile."""
    options = webdriver.ChromeOptions()
    result = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not result or not driver:
        raise SystemExit("Chromium or chromedriver not found. On Debian: apt-get install chromium chromium-driver.")
    options.binary_location = result
    options.page_load_strategy = "none"
    for item in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1366,900"):
        options.add_argument(f"--{item}")
    options.add_argument(f"--user-data-dir={folder / 'chromium'}")
    window = webdriver.Chrome(options, Service(driver))
    window.set_script_timeout(90)
    try:
        yield window
    finally:
        window.quit()


def until(window: webdriver.Chrome, selector: str, text: str) -> float:
    """Return the seconds from the start of the navigation until an element with the text appears."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            if result := window.execute_script(HAS, selector, text):
                return float(result) / 1000
        except WebDriverException:
            pass  # The script fails while the browser changes the page; the next attempt follows.
        time.sleep(0.02)
    raise SystemExit(f"{selector} with {text!r} did not appear")


def peak_memory(process: int) -> float:
    """Return the peak memory of a process so far, in MB; Linux only."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def measure(folder: Path, filters: Filters, *arguments: str, python: str = sys.executable) -> dict[str, float]:
    """Return the seconds until the browser shows the verdict and the last part of each page, and the memory after it.

    The pages are the first one, a second one, and those of the filters.
    """
    times: dict[str, float] = {}
    began = time.monotonic()
    with ExitStack() as stack:
        address, process = stack.enter_context(dashboard(folder, *arguments, python=python))
        times["start"] = time.monotonic() - began
        window = stack.enter_context(browser(folder))
        for name, query in (*PAGES, *filters):
            window.get(address + query)
            times[f"{name}: verdict"] = until(window, FIRST, "")
            times[f"{name}: all of it"] = until(window, "section h2", "Freshness of this data")
            time.sleep(0.5)  # The server may still be sending; read its memory after that.
            times[f"{name}: memory"] = peak_memory(process)
            window.get("about:blank")
            time.sleep(0.2)
    return times


def report(what: str, filters: Filters, runs: dict[Tree, list[dict[str, float]]]) -> None:
    """Print the section."""
    print(f"## Dashboard: {what}, medians of {len(next(iter(runs.values())))} starts\n")
    print("In headless Chromium on the same machine, from the start of the navigation. The server reads the first page")
    print("before it says its address: its start. A filter is a page of its own. Memory: peak of the server.\n")
    print("| page | start, seconds | verdict to be seen | all parts | memory, MB |\n|---|---:|---:|---:|---:|")
    for tree, measured in runs.items():
        middle = {name: median(run[name] for run in measured) for name in measured[0]}
        for name, _ in (*PAGES, *filters):
            if f"{name}: memory" in middle:
                verdict, whole, memory = (middle[f"{name}: {part}"] for part in ("verdict", "all of it", "memory"))
                start = f"{middle['start']:.1f}" if name == PAGES[0][0] else ""
                print(f"| {tree.name}: {name} | {start} | {verdict:.2f} | {whole:.2f} | {memory:.0f} |")


def main() -> None:
    """Measure and print the section, or with ``--json`` the figures of each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--tenants", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="folder of an existing warehouse")
    parser.add_argument("--postgres", metavar="ADDRESS", help="an empty PostgreSQL database for the jobs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        if not given.folder:
            make(folder, given.jobs, given.tenants)
        arguments = []
        if given.postgres:
            os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = given.postgres
            copy(folder, given.postgres)
            arguments = ["--destination", "postgres"]
        filters = FILTERS if given.tenants == 1 else OF_TENANTS
        runs: dict[Tree, list[dict[str, float]]] = {tree: [] for tree in trees()}
        for _ in range(given.runs):
            for tree, measured in runs.items():
                own = tree.python == sys.executable
                measured.append(measure(folder, filters if own else (), *arguments, python=tree.python))
    if given.json:
        print(json.dumps({tree.name: measured for tree, measured in runs.items()}, indent=1))
    else:
        tenants = f" of {given.tenants} tenants" if given.tenants > 1 else ""
        report(f"{given.jobs:,} jobs{tenants} in {'PostgreSQL' if given.postgres else 'DuckDB'}", filters, runs)


if __name__ == "__main__":
    main()
