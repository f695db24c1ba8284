"""Run loads with faults and the loads after them; check how both end, and the rows of the warehouse."""

import re
import shutil
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import pytest
from avepoint_m365.api import transport
from avepoint_m365.companions import timing as companions
from avepoint_simulator import Simulator, make_world
from avepoint_simulator.companions import Companions, ServiceSchedule, license_of, retention_of

from tests.support.cli import Cli, make_user
from tests.support.hostile import Plan, Waits, faults, tls_of
from tests.support.tenant import START
from tests.support.truth import in_warehouse, on_server

LOCATIONS = ("NAM", "EUR")
ATTEMPTS = 5
"""Default number of attempts that dlt makes for a request."""

LONGEST_WAIT = 300.0
"""Default of the longest wait between two attempts, in seconds."""

WHOLE = 2
"""Factor of the client's timeout that limits a whole response, for faults that end with a timeout; 5 by default."""

REQUESTS = 25
"""Requests of a first load of the tenant without faults: tokens, companions, jobs."""

COMPANION_TABLES = {
    "license_consumption": "SELECT location, purchased_user_seats, protected_size_gb FROM {} "
    "QUALIFY row_number() OVER (PARTITION BY location ORDER BY day DESC) = 1 ORDER BY ALL",
    "unusual_activity": "SELECT * EXCLUDE (fetched_at, day_complete, _dlt_load_id, _dlt_id) FROM {} ORDER BY ALL",
    "backup_schedules": "SELECT id, service, backups_per_day FROM {} WHERE valid_to IS NULL ORDER BY ALL",
    "backup_schedules__start_times": "SELECT schedule_id, start_time FROM {} ORDER BY ALL",
    "retention_policies": "SELECT id, level, service, retention_period FROM {} WHERE valid_to IS NULL ORDER BY ALL",
}
"""Queries for the rows of companions that the API still returns a day later, by table."""


@dataclass
class Ended:
    """Hold the result of a load."""

    exit_code: int
    messages: str
    requests: int
    waited: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Case:
    """Control a tenant, its server, and a user in an empty folder."""

    simulator: Simulator
    user: Cli
    waits: Waits

    def load(self) -> Ended:
        """Load with the command line; any exit code is allowed."""
        self.waits.seconds.clear()
        self.simulator.received, began = 0, clock.monotonic()
        done = self.user.run("load", code=None)
        seconds = clock.monotonic() - began
        return Ended(done.returncode, done.stderr, self.simulator.received, list(self.waits.seconds), seconds)

    def load_with(self, plan: Plan, network: bool = False, timeout: float | None = None) -> Ended:
        """Load while requests fail as planned; ``timeout`` is the client's, for faults that end with a timeout."""
        with faults(self.simulator, plan, self.user.folder.parent, network), pytest.MonkeyPatch.context() as patch:
            if timeout:
                self.user.environment["RUNTIME__REQUEST_TIMEOUT"] = str(timeout)
                patch.setattr(transport, "TIMEOUT_FACTOR", WHOLE)
            ended = self.load()
        self.user.environment.pop("RUNTIME__REQUEST_TIMEOUT", None)
        return ended

    def recover(self) -> Ended:
        """Load without faults a day later, when each companion is due again."""
        self.simulator.world.advance(timedelta(days=1))
        return self.load()

    def contents(self) -> dict[str, Any]:
        """Return the jobs of the warehouse."""
        return in_warehouse(self.user.folder / "m365_warehouse.duckdb")

    def shown(self) -> dict[str, Any]:
        """Return the jobs of the server."""
        return on_server(self.simulator.world, self.locations)

    @property
    def locations(self) -> tuple[str, ...]:
        return LOCATIONS if "SOURCES__AVEPOINT_M365__LOCATIONS" in self.user.environment else ()

    def companions(self) -> dict[str, list[Any]]:
        """Return the warehouse's rows of companions that the API still returns."""
        return {table: self.user.query(sql.format(table)) for table, sql in COMPANION_TABLES.items()}


def paragraph(message: str) -> bool:
    """Return True if the messages of a failed load have a single error line with the kind of failure and a reason."""
    errors = [line for line in message.splitlines() if line.startswith("Error")]
    return len(errors) == 1 and re.match(r"Error \([a-z_]+\): \S.*[.!?]$", errors[0]) is not None


@contextmanager
def case(folder: Path, *, tls: bool = False, multi_geo: bool = False, copied: Path | None = None) -> Iterator[Case]:
    """Yield a small tenant; if ``copied`` is the folder of another case, the tenant is already loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        # No list of this tenant has the length of a usual limit, which would be doubted by further requests.
        world = make_world(26, seed=3, now=START, days=20, locations=LOCATIONS)
        # Jobs of two services only: more services need more requests, which differ only in a number.
        world.put(*(replace(job, object_type=1 if job.object_type % 2 else 7) for job in world.all()))
        context = tls_of(folder, "tls") if tls else None
        with Simulator(world, tls=context, companions=_companions(START)) as simulator:
            patch.setattr(avepoint_m365, "_now", lambda: world.now)
            patch.setattr(companions, "_now", lambda: world.now)
            waits = Waits()
            waits.record(patch)
            if copied:
                shutil.copytree(copied, folder, dirs_exist_ok=True)
                world.advance(timedelta(days=1))
            user = make_user(folder, simulator)
            user.set(include="context", concurrency="1", object_types='["exchange_online", "teams"]')
            if multi_geo:
                user.set(locations='["NAM", "EUR"]')
            if tls:
                user.environment["REQUESTS_CA_BUNDLE"] = str(folder / "tls" / "mail.pem")
            yield Case(simulator, user, waits)


def _companions(now: datetime) -> Companions:
    """Return companions whose settings do not change."""
    first, days = now - timedelta(days=30), [(now - timedelta(days=number)).date() for number in range(30)]
    return Companions(
        licenses=[(first, license_of())],
        schedules=[(first, (ServiceSchedule(0, (time(0), time(12))), ServiceSchedule(6, (time(3),))))],
        retention=[(first, retention_of("7 years", {0: "1 years"}))],
        activity={(day, service): (1, day.day) for day in days for service in (0, 6)},
    )


def undisturbed(folder: Path) -> Ended:
    """Run a first load without faults, and return its result; its warehouse stays in the folder."""
    with case(folder) as calm:
        ended = calm.load()
        assert (ended.exit_code, calm.contents()) == (0, calm.shown()), ended.messages
        return ended


def check_recovery(after: Case) -> None:
    """Load a day later, and check that the warehouse then equals the server."""
    ended = after.recover()
    assert ended.exit_code == 0, ended.messages
    assert after.contents() == after.shown()
    result = after.companions()
    assert all(result.values()), result
    assert [row[1:] for row in result["license_consumption"]] == [(500, 1000.0)] * max(len(after.locations), 1)
    assert {row[2] for row in result["backup_schedules"]} == {1, 2}
    assert {row[3] for row in result["retention_policies"]} == {"7 years", "1 years", "90 days", "Unlimited"}


def check_end(ended: Ended) -> None:
    """Check that a load succeeded or gave a reason, with a bounded number of requests and waits."""
    assert ended.exit_code in (0, 1, 3), ended.messages
    if ended.exit_code == 1:
        assert paragraph(ended.messages), ended.messages
    if ended.exit_code == 3:
        assert "Not proved complete: " in ended.messages
    assert ended.requests <= 2 * ATTEMPTS * REQUESTS
    assert all(seconds <= LONGEST_WAIT for seconds in ended.waited)
    assert len(ended.waited) <= ATTEMPTS * REQUESTS
