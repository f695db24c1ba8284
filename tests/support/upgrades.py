"""Store the files that a version of the program leaves on a user's machine, for tests of later versions.

``python -m tests.support.upgrades`` (``make upgrade-fixtures``) writes the files of this version to
``tests/fixtures/upgrades``. Run it once for each release, and keep the files of earlier releases.
"""

import random
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

from avepoint_simulator import Simulator, World, make_world
from avepoint_simulator.companions import make_companions
from m365_jobs.load.pending import MARK

from tests.support.cli import Cli, make_user
from tests.support.driven_clock import DrivenClock
from tests.support.warehouse import administer, database_for

FIXTURES = Path(__file__).parents[1] / "fixtures" / "upgrades"
KINDS = ("duckdb", "postgres", "filesystem")
START = datetime(2026, 3, 1, 6, tzinfo=UTC)
DUMP = "postgres.sql"


class Past:
    """Control a tenant whose first loads are always the same, and the machine of the user who runs them."""

    def __init__(self, folder: Path, simulator: Simulator, clock: DrivenClock, kind: str, address: str) -> None:
        self.simulator, self.world, self.clock, self.kind = simulator, simulator.world, clock, kind
        folder.mkdir(exist_ok=True)
        self.user: Cli = make_user(folder, simulator)
        del self.user.environment["SOURCES__AVEPOINT_M365__INCLUDE"]
        self.user.environment |= {
            "DESTINATION_TYPE": kind,
            "DESTINATION__FILESYSTEM__BUCKET_URL": "lake",
            "DESTINATION__POSTGRES__CREDENTIALS": address,
            # No program listens at this port, so an alert cannot be delivered.
            "RUNTIME__SLACK_INCOMING_HOOK": "http://127.0.0.1:9/T0",
        }
        self.folders = (self.user.folder, Path(self.user.environment["DLT_DATA_DIR"]))

    def wait(self, hours: float) -> None:
        """Move the clocks of server and user forward."""
        self.clock.set(self.world.advance(timedelta(hours=hours)))

    def live(self) -> None:
        """Run a first load, a later load, a load with nothing new, and a failing load; fail to deliver an alert."""
        self.clock.set(self.world.now)
        for step in range(4):
            self.change(step)
            if step < 3:
                self.user.run("load")
            else:
                secret = {"SOURCES__AVEPOINT_M365__CREDENTIALS__CLIENT_SECRET": "wrong"}
                Cli(self.user.folder, self.user.environment | secret).run("load", code=1)
        self.user.run("health", "--slack", code=1)

    def relive(self) -> None:
        """Make the same changes on the server, without loads."""
        for step in range(4):
            self.change(step)
        self.clock.set(self.world.now)

    def change(self, step: int) -> None:
        """Change the server before the load with this number: jobs start and end, and some lose an error."""
        if step == 1:
            self.wait(7)
            dice = random.Random(step)
            for job in sorted(self.world.visible(), key=lambda job: job.id)[:40]:
                if job.errors and dice.random() < 0.5:
                    self.world.change(job.id, errors=job.errors[1:])
        elif step:
            self.wait(0.01)


def make_past_world() -> World:
    """Return a world with sixty jobs: one still runs, and some start in the next hours."""
    world = make_world(60, seed=25, now=START, days=12)
    running = min(world.all(), key=lambda job: job.start)
    world.put(replace(running, id="RUNNING", start=START - timedelta(hours=5), finish=START + timedelta(hours=9)))
    return world


@contextmanager
def past(folder: Path, kind: str, clock: DrivenClock) -> Iterator[Past]:
    """Yield the tenant with its server and an empty machine."""
    with ExitStack() as stack:
        address = stack.enter_context(database_for(kind))
        simulator = stack.enter_context(Simulator(make_past_world(), companions=make_companions(START)))
        yield Past(folder, simulator, clock, kind, address)


def keep(past: Past, file: Path) -> None:
    """Write the user's folders and a dump of the database into an archive."""
    if past.kind == "postgres":
        (past.user.folder / DUMP).write_text(_dump(past.user.environment["DESTINATION__POSTGRES__CREDENTIALS"]))

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name.endswith(".pickle"):
            return None  # dlt's trace of the last run is not needed.
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:xz") as archive:
        for number, folder in enumerate(past.folders):
            archive.add(folder, str(number), filter=anonymous)


def restore(past: Past, file: Path) -> None:
    """Put the files of an older version on the user's machine."""
    with tarfile.open(fileobj=BytesIO(file.read_bytes())) as archive:
        archive.extractall(past.user.folder.parent / "kept", filter="data")
    for number, folder in enumerate(past.folders):
        folder.rmdir() if folder.exists() else folder.parent.mkdir(parents=True, exist_ok=True)
        (past.user.folder.parent / "kept" / str(number)).rename(folder)
    if past.kind == "postgres":
        address = past.user.environment["DESTINATION__POSTGRES__CREDENTIALS"]
        administer((past.user.folder / DUMP).read_text(), address=address)


def move(past: Past, fingerprint: str) -> None:
    """Replace the fingerprint of the warehouse in the user's folders, as if its address had never changed."""
    pipelines = past.folders[1] / "pipelines"
    old = (pipelines / "m365_jobs" / MARK).read_text().split()[0]
    for file in (pipelines / "m365_jobs" / MARK, pipelines / "m365_jobs.failed_runs.jsonl"):
        if file.exists():
            file.write_text(file.read_text().replace(old, fingerprint))
    with sqlite3.connect(pipelines / "m365_jobs.alerts.sqlite") as alerts:
        for table in ("alerts", "announcements", "deliveries"):
            alerts.execute(f"UPDATE {table} SET warehouse = ?", (fingerprint,))
    alerts.close()


def _dump(address: str) -> str:
    """Return the database as SQL that any client can run."""
    command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", "--dbname", address]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Newer versions of pg_dump write commands that only psql understands, so they are left out.
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("\\"))


def main() -> None:
    """Write the archives of this version."""
    for kind in sys.argv[1:] or KINDS:
        with tempfile.TemporaryDirectory() as folder, DrivenClock() as clock, past(Path(folder), kind, clock) as first:
            first.live()
            keep(first, FIXTURES / version("avepoint-m365-jobs") / f"{kind}.tar.xz")


if __name__ == "__main__":
    main()
