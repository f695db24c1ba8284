"""Measures the dashboard of 1,000,000 jobs in a real browser; prints a section of the page.

Wants Chromium and chromedriver. Times are those of the browser: from the start of the navigation until tiles can be
seen, and from the choice in a filter until the page has changed for the last time.
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
from typing import Any

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

RUNS = """
CREATE TABLE load_runs AS
SELECT 'run ' || run AS run_id, 'default' AS tenant, newest - to_hours(run::INT) AS started_at,
       newest - to_hours(run::INT) + to_minutes(1) AS ended_at, 'complete' AS status, NULL::VARCHAR AS error_kind,
       NULL::VARCHAR AS detail, 50::BIGINT AS requests, 60::BIGINT AS jobs, '0' AS product_version
FROM range(2000) AS t(run), (SELECT max(start_time) AS newest FROM jobs)
"""

LOOK = """
window.deep = selector => {
  const found = [];
  (function walk(root) {
    for (const one of root.querySelectorAll("*")) {
      if (one.matches(selector)) found.push(one);
      if (one.shadowRoot) walk(one.shadowRoot);
    }
  })(document);
  return found;
};
"""

HAS = LOOK + "return deep(arguments[0]).some(one => one.innerText.includes(arguments[1])) ? performance.now() : null;"

CHOOSE = (
    LOOK
    + """
const [every, wanted, done] = arguments, calm = 1500;
const text = () => deep("section.m365, li.tile").map(one => one.textContent).join();
const filter = deep("select").find(one => [...one.options].some(option => option.text === every));
const option = [...filter.options].find(option => option.text === wanted);
const began = performance.now();
let before = text(), first = null, last = began;
filter.value = option.value;
filter.dispatchEvent(new Event("change", {bubbles: true}));
const watch = setInterval(() => {
  const now = performance.now(), after = text();
  if (after !== before) { first ??= now; last = now; before = after; }
  if (now - last > calm && first) { clearInterval(watch); done([first - began, last - began]); }
  if (now - began > 60000) { clearInterval(watch); done(null); }
}, 10);
"""
)

FILTERS = (
    ("location", "Everywhere", "EUR"),
    ("service", "All services", "Teams"),
    ("time", "90 days", "A year"),
    ("time back", "90 days", "30 days"),
    ("service back", "All services", "All services"),
)
"""Name, a choice that only this filter has, and what is chosen in turn. The last two have been read before."""


def make(folder: Path, jobs: int) -> None:
    """A warehouse as loads leave it."""
    with duckdb.connect(str(folder / "m365_warehouse.duckdb")) as connection:
        begin = datetime.now(UTC) - timedelta(minutes=jobs)
        tables = TABLES.replace("2024-01-01 00:00:00+00", begin.isoformat(timespec="seconds"))
        connection.execute(tables.format(jobs=jobs, services=[one.name for one in ObjectType]))
        connection.execute(RUNS)
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
    found = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not found or not driver:
        raise SystemExit("Chromium and chromedriver are needed (on Debian: apt-get install chromium chromium-driver)")
    options.binary_location = found
    options.page_load_strategy = "none"
    for one in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1366,900"):
        options.add_argument(f"--{one}")
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
            if found := window.execute_script(HAS, selector, text):
                return float(found) / 1000
        except WebDriverException:
            pass  # between two pages
        time.sleep(0.02)
    raise SystemExit(f"{selector} with {text!r} did not appear")


def measure(folder: Path, *arguments: str) -> dict[str, float]:
    """Seconds: first paint of the first page after the start, its last part, the same of a second page, filters."""
    found: dict[str, float] = {}
    with dashboard(folder, *arguments) as address, browser(folder) as window:
        for page in ("first page", "next page"):
            window.get(address)
            found[f"{page}: tiles"] = until(window, "li.tile", "")
            found[f"{page}: all of it"] = until(window, "section.m365 h2", "Freshness of this data")
            time.sleep(1.5)  # until the page has come to rest
        for name, every, wanted in FILTERS:
            times: Any = window.execute_async_script(CHOOSE, every, wanted)
            if times is None:
                raise SystemExit(f"The filter {name} changed nothing")
            found[f"{name}, first change"], found[f"{name}, all of it"] = (one / 1000 for one in times)
    return found


def report(jobs: int, runs: list[dict[str, float]], where: str = "DuckDB") -> None:
    """Prints the section."""
    middle = {name: median(run[name] for run in runs) for name in runs[0]}
    print(f"## Dashboard: {jobs:,} jobs in {where}, medians of {len(runs)} starts\n")
    print("In headless Chromium on the same machine. A page: from the start of its navigation. A filter: from the")
    print("choice. The first page is asked for as soon as the server says its address.\n")
    print("| page | tiles to be seen, seconds | all parts |\n|---|---:|---:|")
    for page in ("first page", "next page"):
        print(f"| {page} | {middle[f'{page}: tiles']:.2f} | {middle[f'{page}: all of it']:.2f} |")
    print("\n| filter | first part changed, seconds | last part |\n|---|---:|---:|")
    for name, _, wanted in FILTERS:
        first, last = middle[f"{name}, first change"], middle[f"{name}, all of it"]
        what = f"{name.removesuffix(' back')}: {wanted}{' again' if name.endswith('back') else ''}"
        print(f"| {what} | {first:.2f} | {last:.2f} |")


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
