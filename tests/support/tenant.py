"""Control the clock and jobs of a tenant from a test."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from avepoint_m365 import Progress
from avepoint_simulator import SimulatedJob, Simulator, World
from m365_jobs.load import run as loading

from tests.support.truth import in_warehouse, on_server
from tests.support.worlds import settings

START = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY = START - timedelta(days=60)


class Tenant:
    """Control a tenant's world and server, and a user who loads from it in an empty directory."""

    def __init__(self, folder: Path, world: World, simulator: Simulator) -> None:
        self.world, self.simulator, self.file = world, simulator, folder / "m365_warehouse.duckdb"

    def put(self, job_id: str, start: float, finish: float | None, **more: Any) -> None:
        """Add an Exchange job; times are hours from the start of the test."""
        at = [START + timedelta(hours=hours) if hours is not None else None for hours in (start, finish)]
        self.world.put(SimulatedJob(job_id, 1, 1, None, at[0], at[1], **more))  # type: ignore[arg-type]

    def load(
        self, since: datetime | None = None, until: datetime | None = None, exit_code: int | None = 0, **more: Any
    ) -> set[str]:
        """Load, check the exit code unless it is None, and return the starts of the requested windows."""
        self.simulator.asked.clear()
        given = {"object_types": ["exchange_online"], "start_date": HISTORY.isoformat(), **more}
        options = loading.LoadOptions(since, until, source=settings(self.simulator, **given))
        ended = loading.load(options, Progress(), lambda _: None).exit_code
        assert exit_code in (None, ended)
        return {asked.params["starttime"] for asked in self.simulator.asked if asked.params["pagesize"] != "10"}

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the warehouse."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
            return connection.execute(sql).fetchall()

    def agrees(self) -> bool:
        return in_warehouse(self.file) == on_server(self.world, False)
