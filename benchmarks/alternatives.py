"""Run the alternatives that a load is compared with, such as a plain dlt rest_api source.

DuckDB reads the same JSON from disk. dlt also merges ready tables, which is as fast as any source can be.

Run as ``python benchmarks/alternatives.py NAME WHERE FOLDER``; WHERE is the simulator's line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import requests


def jobs_source(where: dict[str, str], **parameters: Any) -> Any:
    """Return a rest_api source of the first generation of the endpoint, which merges on the id.

    ``parameters`` are further parameters of its query.
    """
    from dlt.sources.rest_api import rest_api_source

    jobs: Any = {"path": "backup/m365/jobs", "params": {"pageSize": 500, **parameters}, "data_selector": "jobs"}
    return rest_api_source(
        {
            "client": {
                "base_url": where["base_url"],
                "auth": {"type": "bearer", "token": token(where)},
                "paginator": {
                    "type": "page_number",
                    "page_param": "pageIndex",
                    "base_page": 1,
                    "total_path": None,
                    "stop_after_empty_page": True,
                },
            },
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
            "resources": [{"name": "jobs", "endpoint": jobs}],
        }
    )


def rest_api(where: dict[str, str], folder: Path, file_format: Any = None) -> None:
    """Load with a rest_api source and default settings."""
    import dlt

    os.chdir(folder)
    pipeline = dlt.pipeline("plain", destination="duckdb", dataset_name="plain_jobs")
    pipeline.run(jobs_source(where), loader_file_format=file_format)


def raw_duckdb(folder: Path) -> None:
    """Read the pages, stored as JSON on disk, with DuckDB alone."""
    import duckdb

    connection = duckdb.connect(str(folder / "raw.duckdb"))
    connection.execute(
        f"""
        CREATE TABLE pages AS SELECT unnest(jobs, max_depth := 1) AS job
            FROM read_json('{folder.as_posix()}/pages/*.json', maximum_object_size = 100000000);
        CREATE TABLE jobs AS SELECT job.id, job.state, job.startTime::TIMESTAMPTZ AS start_time,
            job.finishTime::TIMESTAMPTZ AS finish_time, job.duration::DOUBLE AS duration_hours FROM pages;
        CREATE TABLE details AS SELECT job.id, unnest(job.backupDetails) FROM pages;
        CREATE TABLE errors AS SELECT job.id, unnest(job.jobErrors, recursive := true) FROM pages;
        DROP TABLE pages;
        """
    )


def two_rows(folder: Path) -> None:
    """Load two rows with dlt, which shows the fixed cost of a load."""
    import dlt

    os.chdir(folder)
    dlt.pipeline("two_rows", destination="duckdb").run([{"id": 1}, {"id": 2}], table_name="two_rows")


def ready_tables(pages: Path) -> None:
    """Merge with dlt the three tables of the jobs, read as Arrow tables from Parquet."""
    import dlt
    import pyarrow.parquet as pq

    keys = {"jobs": ["id"], "details": ["id"], "errors": ["id", "error_index"]}
    resources = [
        dlt.resource([pq.read_table(pages / f"{name}.parquet")], name=name, primary_key=key, write_disposition="merge")
        for name, key in keys.items()
    ]
    dlt.pipeline("ready_tables", destination="duckdb").run(resources, loader_file_format="parquet")


def save_tables(folder: Path) -> None:
    """Store the jobs of the saved pages as three Parquet files, one for each table."""
    import duckdb

    raw_duckdb(folder)
    with duckdb.connect(str(folder / "raw.duckdb")) as connection:
        for name in ("jobs", "details", "errors"):
            more = ", row_number() OVER (PARTITION BY id) AS error_index" if name == "errors" else ""
            connection.execute(f"COPY (SELECT *{more} FROM {name}) TO '{folder.as_posix()}/{name}.parquet'")


def save_pages(where: dict[str, str], folder: Path) -> None:
    """Store each page unchanged on disk, then the three tables."""
    (folder / "pages").mkdir()
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token(where)}"
    for index in range(1, 100_000):
        answer = session.get(
            where["base_url"] + "/backup/m365/jobs", params={"pageSize": "500", "pageIndex": str(index)}, timeout=60
        )
        if not answer.json()["jobs"]:
            break
        (folder / "pages" / f"{index:06}.json").write_bytes(answer.content)
    save_tables(folder)


def token(where: dict[str, str]) -> str:
    """Return an access token of the simulator."""
    form = {
        "grant_type": "client_credentials",
        "scope": "microsoft365backup.jobInfo.read.all",
        "client_id": where["client_id"],
        "client_secret": where["client_secret"],
    }
    return str(requests.post(where["token_url"], data=form, timeout=60).json()["access_token"])


if __name__ == "__main__":
    name, given, target = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
    {
        "rest_api": lambda: rest_api(given, target),
        "rest_api_parquet": lambda: rest_api(given, target, "parquet"),
        "raw_duckdb": lambda: raw_duckdb(target),
        "two_rows": lambda: two_rows(target),
        "ready_tables": lambda: ready_tables(target),
        "save_pages": lambda: save_pages(given, target),
    }[name]()
