"""Jobs made by hand, so that a test can say what is to be thought of them, and warehouses that hold them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from avepoint_m365.constants import JobType, ObjectType
from avepoint_simulator import Simulator, World
from avepoint_simulator.tenant import FINISHED, SimulatedJob

from tests.support.warehouse import Warehouse, database

_numbers = count()


def job(
    service: str,
    ended: float | None,
    state: str = FINISHED,
    *,
    kind: str = "backup",
    lasted: float = 0.5,
    total: int = 100,
    failed: int = 0,
) -> SimulatedJob:
    """A job that ``ended`` so many hours ago after so many hours, or has run for so long and goes on (None)."""
    now = datetime.now(UTC).replace(microsecond=0)
    finish = None if ended is None else now - timedelta(hours=ended)
    return SimulatedJob(
        id=f"FB20250101{next(_numbers):012}",
        object_type=ObjectType[service],
        job_type=JobType[kind],
        location=None,
        start=(finish or now) - timedelta(hours=lasted),
        finish=finish,
        final_state=state,
        total=total,
        failed=failed,
    )


@contextmanager
def serving(*jobs: SimulatedJob) -> Iterator[Simulator]:
    """A server of a tenant that has these jobs."""
    world = World(datetime.now(UTC))
    world.put(*jobs)
    with Simulator(world) as running:
        yield running


@contextmanager
def place(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """An empty warehouse of this kind: duckdb, postgres or filesystem."""
    if kind == "postgres":
        with database() as address:
            monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
            yield Warehouse(kind)
    else:
        monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
        yield Warehouse(kind)
