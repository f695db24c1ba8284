"""Measures the dashboard of 1,000,000 jobs in a real browser; prints a section of the page.

Wants Chromium and chromedriver. Times are those of the browser: from the start of the navigation until tiles can be
seen, and until its last part can be seen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb
from avepoint_m365.settings import ObjectType
from m365_jobs import marts
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import run as bench  # noqa: E402
from benchmarks.marts import TABLES  # noqa: E402

HAS = """
return [...document.querySelectorAll(arguments[0])].some(part => part.textContent.includes(arguments[1]))
    ? performance.now() : null;
"""

FILTERS = (
    ("location: EUR", "?location=EUR"),
    ("service: Teams", "?location=EUR&service=teams"),
    ("time: A year", "?location=EUR&service=teams&days=365"),
    ("time: 30 days again", "?location=EUR&service=teams"),
    ("all services again", "?location=EUR"),
)
"""Name and query of a page; the last two have been read before."""


def make(folder: Path, jobs: int) -> None:
    """A warehouse as loads leave it."""
    with duckdb.connect(str(folder / "m365_warehouse.duckdb")) as connection:
        begin = datetime.now(UTC) - timedelta(minutes=jobs)
        tables = TABLES.replace("2024-01-01 00:00:00+00", begin.isoformat(timespec="seconds"))
        connection.execute(tables.format(jobs=jobs, services=[object_type.name for object_type in ObjectType]))
        marts.define(connection, "m365_jobs")


def copy(folder: Path, address: str) -> None:
    """The same in an empty PostgreSQL database: a small load makes tables, indexes and views, rows are put in after."""
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
def dashboard(folder: Path, *arguments: str) -> Iterator[str]:
    """``m365-jobs dashboard`` in a process of its own; its address."""
    command = [sys.executable, "-m", "m365_jobs", "dashboard", "--port", "0", *arguments]
    environment = {**os.environ, "DLT_DATA_DIR": str(folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        if not line.startswith("Dashboard: "):
            raise SystemExit(line + process.stderr.read())
        yield line.removeprefix("Dashboard: ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """A window without any memory."""
    options = webdriver.ChromeOptions()
    result = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not result or not driver:
        raise SystemExit("Chromium and chromedriver are needed (on Debian: apt-get install chromium chromium-driver)")
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
    """Seconds from the start of the navigation until an element with a text can be seen."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            if result := window.execute_script(HAS, selector, text):
                return float(result) / 1000
        except WebDriverException:
            pass  # between two pages
        time.sleep(0.02)
    raise SystemExit(f"{selector} with {text!r} did not appear")


def measure(folder: Path, *arguments: str) -> dict[str, float]:
    """Seconds until the verdict of a page can be seen, and its last part; of a first page, a next one, and filters."""
    times: dict[str, float] = {}
    with dashboard(folder, *arguments) as address, browser(folder) as window:
        for name, query in (("first page", ""), ("next page", ""), *FILTERS):
            window.get(address + query)
            times[f"{name}: verdict"] = until(window, ".verdict", "")
            times[f"{name}: all of it"] = until(window, "section h2", "Freshness of this data")
            time.sleep(0.5)  # until the page has come to rest
            window.get("about:blank")
            time.sleep(0.2)
    return times


def report(jobs: int, runs: list[dict[str, float]], where: str = "DuckDB") -> None:
    """Prints the section."""
    middle = {name: median(run[name] for run in runs) for name in runs[0]}
    print(f"## Dashboard: {jobs:,} jobs in {where}, medians of {len(runs)} starts\n")
    print("In headless Chromium on the same machine, from the start of the navigation. The first page is asked for as")
    print("soon as the server says its address. A filter is a page of its own.\n")
    print("| page | verdict to be seen, seconds | all parts |\n|---|---:|---:|")
    for name, _ in (("first page", ""), ("next page", ""), *FILTERS):
        print(f"| {name} | {middle[f'{name}: verdict']:.2f} | {middle[f'{name}: all of it']:.2f} |")


def main() -> None:
    """Prints the section, or with ``--json`` each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where a warehouse is already")
    parser.add_argument("--postgres", metavar="ADDRESS", help="an empty PostgreSQL database to put the jobs into")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        if not given.folder:
            make(folder, given.jobs)
        arguments = []
        if given.postgres:
            os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = given.postgres
            copy(folder, given.postgres)
            arguments = ["--destination", "postgres"]
        runs = [measure(folder, *arguments) for _ in range(given.runs)]
    if given.json:
        print(json.dumps(runs, indent=1))
    else:
        report(given.jobs, runs, "PostgreSQL" if given.postgres else "DuckDB")


if __name__ == "__main__":
    main()
