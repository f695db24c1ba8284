"""Create single jobs with a known outcome for tests of health, and servers with such jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

from avepoint_m365.constants import JobType, ObjectType
from avepoint_simulator import Simulator, World
from avepoint_simulator.tenant import FINISHED, SimulatedJob

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
    """Return a job that ended ``ended`` hours ago and lasted ``lasted`` hours; if ``ended`` is None, it still runs."""
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
    """Run a server of a tenant with these jobs."""
    world = World(datetime.now(UTC))
    world.put(*jobs)
    with Simulator(world) as running:
        yield running
