"""Create single jobs with a known outcome for tests of health, servers with such jobs, and warehouses."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from avepoint_m365.constants import JobType, ObjectType
from avepoint_simulator import Simulator, World
from avepoint_simulator.tenant import FINISHED, SimulatedJob

from tests.support.warehouse import SERVER, Warehouse, database

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


@contextmanager
def place(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """Create an empty warehouse of a type: duckdb, postgres or filesystem."""
    if kind == "postgres":
        with database() as address:
            monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
            yield Warehouse(kind)
    else:
        monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
        yield Warehouse(kind)


class Templates:
    """Load a warehouse of each type once, and copy it for each test, because a copy is faster than a load."""

    def __init__(self, folder: Path, load: Callable[[Warehouse], None]) -> None:
        self.folder, self._load = folder, load
        self._databases = ExitStack()
        self._names: dict[str, str] = {}

    def __enter__(self) -> "Templates":
        return self

    def __exit__(self, *failure: object) -> None:
        self._databases.close()

    @contextmanager
    def copy(self, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
        """Yield a loaded warehouse in a folder; the caller sets ``DLT_DATA_DIR`` to ``dlt`` in that folder."""
        if kind not in self._names:
            self._names[kind] = self._made(kind)
        shutil.copytree(self.folder / kind, folder, dirs_exist_ok=True)
        monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
        with ExitStack() as stack:
            if kind == "postgres":
                address = stack.enter_context(database(f"TEMPLATE {self._names[kind]}"))
                monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
            yield Warehouse(kind)

    def _made(self, kind: str) -> str:
        """Load a warehouse, and return the name of its database for PostgreSQL, or an empty text."""
        folder, address = self.folder / kind, ""
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
            patch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
            if kind == "postgres":
                address = self._databases.enter_context(database())
                patch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
            self._load(Warehouse(kind))
        return address.removeprefix(f"{SERVER}/")
