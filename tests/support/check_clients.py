"""Read a warehouse with the DuckDB clients of docs/bi.md, and a lake with other programs.

Each client has its own virtual environment. The test suite does not run this, because it installs half a gigabyte.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from avepoint_simulator import Simulator, make_world

DUCKDB_CLIENTS = {
    "DuckDB 1.4": ["duckdb==1.4.*", "pytz", "duckdb-engine", "sqlalchemy<2"],
    "DuckDB 1.5": ["duckdb==1.5.*", "pytz", "pyarrow", "pandas", "polars"],
}
"""Packages of each client. DuckDB needs pytz to return a time with a zone."""

LAKE_CLIENTS = ["deltalake>=1.6.6", "duckdb==1.5.*", "pyarrow", "pandas", "polars"]

READ_FILE = """
import sys, duckdb
connection = duckdb.connect("m365_warehouse.duckdb", read_only=True)
jobs, = connection.execute("SELECT count(*) FROM m365_jobs.jobs").fetchone()
assert jobs == int(sys.argv[1]), jobs
for view in ("daily_summary", "protection_status", "error_summary", "open_jobs", "job_facts"):
    rows = connection.execute(f"SELECT * FROM m365_jobs.{view}").fetchall()
    assert rows or view == "open_jobs", view
ended, = connection.execute("SELECT count(*) FROM m365_jobs.job_facts WHERE state = 'Finished'").fetchone()
assert ended > 0
if "1.5" in duckdb.__version__[:3]:
    facts = connection.execute("SELECT * FROM m365_jobs.job_facts")
    assert len(facts.df()) == len(connection.execute("SELECT * FROM m365_jobs.job_facts").pl()) == jobs
else:
    connection.close()
    import sqlalchemy
    engine = sqlalchemy.create_engine("duckdb:///m365_warehouse.duckdb", connect_args={"read_only": True})
    inspector = sqlalchemy.inspect(engine)
    assert "daily_summary" in inspector.get_view_names(schema="m365_jobs")
    assert inspector.get_columns("daily_summary", schema="m365_jobs")
    with engine.connect() as opened:
        assert opened.execute(sqlalchemy.text("SELECT count(*) FROM m365_jobs.job_facts")).scalar() == jobs
"""

READ_LAKE = """
import duckdb, polars, pyarrow.compute as pc
from deltalake import DeltaTable
table = DeltaTable("lake/m365_jobs/jobs")
rows = table.to_pyarrow_dataset()
wanted = table.to_pandas()["state"].eq("Finished").sum()
assert wanted > 0
assert len(table.to_pandas(filters=[("state", "=", "Finished")])) == wanted
assert rows.to_table(filter=pc.field("state") == "Finished").num_rows == wanted
assert duckdb.sql("SELECT count(*) FROM rows WHERE state = 'Finished'").fetchone()[0] == wanted
lazy = polars.scan_delta("lake/m365_jobs/jobs")
assert lazy.filter(polars.col("state") == "Finished").collect().height == wanted
assert lazy.filter(polars.col("state").str.starts_with("Finish")).collect().height >= wanted
"""


def main() -> None:
    """Load a simulated tenant into a file and a lake, twice each, and read both with every client."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        jobs = _load(folder)
        for name, packages in DUCKDB_CLIENTS.items():
            _run(folder, name, packages, READ_FILE, str(jobs))
        _run(folder, "lake: pyarrow, DuckDB, polars, pandas", LAKE_CLIENTS, READ_LAKE)
    print("All clients read what was loaded.")


def _load(folder: Path) -> int:
    """Load twice, so that rows are merged, and return the number of jobs on the server."""
    world = make_world(400, seed=31, now=datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12))
    with Simulator(world) as simulator:
        section = "SOURCES__AVEPOINT_M365__"
        environment = os.environ | {
            f"{section}BASE_URL": simulator.base_url,
            f"{section}TOKEN_URL": simulator.token_url,
            f"{section}CREDENTIALS__CLIENT_ID": simulator.client_id,
            f"{section}CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
            "DESTINATION__FILESYSTEM__BUCKET_URL": str(folder / "lake"),
            "DLT_DATA_DIR": str(folder / "dlt"),
        }
        for _ in range(2):
            for destination in ("duckdb", "filesystem"):
                command = [sys.executable, "-m", "m365_jobs", "load", "--destination", destination]
                subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
            world.advance(timedelta(hours=5))
        world.advance(timedelta(hours=-5))
        return len(list(world.visible()))


def _run(folder: Path, name: str, packages: list[str], code: str, *arguments: str) -> None:
    environment = folder / re.sub(r"\W+", "-", f"venv {name[:10]}")
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    subprocess.run([str(python), "-c", code, *arguments], cwd=folder, check=True)
    print(f"ok  {name}")


if __name__ == "__main__":
    main()
