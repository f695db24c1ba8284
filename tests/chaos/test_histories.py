"""Test histories: random changes on the server, and loads at random moments with random faults.

After each load the test compares the warehouse with all jobs that the server has shown, in their newest shown state.
"""

import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import duckdb
import pytest
from avepoint_m365 import Progress
from avepoint_m365.exceptions import SourceError
from avepoint_simulator import Answer, Asked, Dialect, JobError, SimulatedJob, Simulator, World
from avepoint_simulator.tenant import BOUNDS, ORDERS, READINGS
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from m365_jobs.load import run as loading
from m365_jobs.load.known_jobs import WarehouseLookup

from tests.support.kill_at_step import load_in_child
from tests.support.truth import in_warehouse, on_server
from tests.support.worlds import settings as settings_of

START = datetime(2026, 3, 1, tzinfo=UTC)
LAG_HOURS = 24
EXAMPLES = int(os.environ.get("M365_JOBS_HISTORIES", "4"))
TYPES = (1, 7, 13)
"""Object types of jobs; the API's list of types does not contain the last."""
UNLISTED = "DEU"
"""A location for which no load asks."""
LABELS = slice(0, 3)
"""Positions of location, object type and job type in a row of a job."""
STEPS = {"done": 0}
"""Number of steps so far; docs/reliability.md reports a long run."""
FAULTS: dict[str, Answer | None] = {
    "none": None,
    "drop": Answer(0, drop=True),
    "unavailable": Answer(503, "<html>maintenance</html>"),
    "throttled": Answer(429, headers={"Retry-After": "0"}),
    "token refused": Answer(401),
    "forbidden": Answer(403),
}


class Histories(RuleBasedStateMachine):
    """Simulate a server whose jobs change, and a user who loads from it at random moments."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.folder = tempfile.TemporaryDirectory()
        self.patch.chdir(self.folder.name)
        self.patch.setenv("DLT_DATA_DIR", str(Path(self.folder.name) / "dlt"))
        self.patch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
        self.file = Path(self.folder.name) / "m365_warehouse.duckdb"
        self.world = World(START)
        self.shown: dict[str, Any] = {}
        self.uncertain: set[str] = set()
        self.maybe: dict[str, list[Any]] = {}
        """States of jobs during killed loads, which may have committed them or not."""
        self.labels: dict[str, set[tuple[Any, ...]]] = {}
        """All labels of each job so far. A job keeps the labels under which a load first read it."""
        self.dropped: set[str] = set()
        """Jobs whose rows the warehouse has lost."""
        self.count = 0
        self.loaded = False

    @initialize(
        reading=st.sampled_from(READINGS),
        total_basis=st.sampled_from(["matches", "page", "absent"]),
        link=st.sampled_from(["absolute", "wrong_path", "none", "opaque"]),
        bounds=st.sampled_from(BOUNDS),
        order=st.sampled_from([order for order in ORDERS if order != "shuffled"]),
        locations=st.sampled_from([(), ("NAM", "EUR")]),
        chunk_jobs=st.sampled_from([3, 8, 1000]),
    )
    def serve(self, reading: str, total_basis: str, link: str, locations: tuple[str, ...], **more: Any) -> None:
        self.world.reading, self.world.bounds, self.world.order = reading, more["bounds"], more["order"]
        self.locations = locations
        self.patch.setattr(loading, "CHUNK_JOBS", more["chunk_jobs"])
        dialect = Dialect(total_basis=total_basis, link=link, no_time="year_one", max_page_size=4)
        self.simulator = Simulator(self.world, dialect=dialect).__enter__()
        self.patch.setattr(avepoint_m365, "_now", lambda: self.world.now)

    def teardown(self) -> None:
        if hasattr(self, "simulator"):
            self.simulator.__exit__(None, None, None)
        self.patch.undo()
        self.folder.cleanup()

    def new_job(self, hours: int, object_type: int = 1, late: int | None = None, outside: bool = False) -> SimulatedJob:
        self.count += 1
        finish = self.world.now + timedelta(hours=hours)
        return SimulatedJob(
            id=f"JOB{self.count:05}",
            object_type=object_type,
            job_type=6 if outside else 1 + self.count % 2,
            location=UNLISTED if outside else self.locations[self.count % 2] if self.locations else None,
            start=self.world.now,
            finish=finish,
            total=self.count,
            errors=(JobError("Access denied.", True, "", 1),) * (self.count % 3),
            visible_from=finish + timedelta(hours=late) if late is not None else None,
        )

    @rule(
        hours=st.sampled_from([0, 1, 2, 5, 30, 100, 240]),
        object_type=st.sampled_from(TYPES),
        late=st.sampled_from([None, None, 0, 5, 20]),
        outside=st.sampled_from([False, False, False, True]),
    )
    def a_job_starts(self, hours: int, object_type: int, late: int | None, outside: bool) -> None:
        self.world.put(self.new_job(hours, object_type, late, outside))

    @rule(hours=st.sampled_from([1, 2, 5, 12, 30, 72]))
    def time_passes(self, hours: int) -> None:
        self.world.advance(timedelta(hours=hours))

    @precondition(lambda self: self.recently_finished())
    @rule(data=st.data(), errors=st.integers(0, 3), state=st.sampled_from(["Finished", "Failed"]), moves=st.booleans())
    def a_finished_job_changes_within_the_lag(self, data: st.DataObject, errors: int, state: str, moves: bool) -> None:
        job = data.draw(st.sampled_from(self.recently_finished()), label="job")
        kinds = tuple(JobError(f"Error {number}", False, "", number) for number in range(errors))
        changed = {"final_state": state, "errors": kinds, "failed": errors, "total": job.total + 10}
        other = {1: 7, 7: 1}.get(job.object_type, job.object_type)
        self.world.change(job.id, **changed, object_type=other if moves else job.object_type)

    def recently_finished(self) -> list[SimulatedJob]:
        since = self.world.now - timedelta(hours=LAG_HOURS - 1)
        return [job for job in self.world.visible() if job.finish and since <= job.finish <= self.world.now]

    @precondition(lambda self: self.loaded and self.recently_finished())
    @rule(data=st.data())
    def the_warehouse_loses_rows(self, data: st.DataObject) -> None:
        """Delete rows of a job that the next load reads; other jobs return only with the next daily proof."""
        job_id = data.draw(st.sampled_from(self.recently_finished()), label="job").id
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("USE m365_jobs")
            for table, key in (("jobs", "id"), ("jobs__backup_details", "job_id"), ("jobs__job_errors", "job_id")):
                connection.execute(f"DELETE FROM {table} WHERE {key} = ?", [job_id])
        self.dropped.add(job_id)

    @rule(at=st.integers(1, 6))
    def a_load_whose_lookup_fails(self, at: int) -> None:
        """Let a query for known jobs fail: the load ends with that error, unless it needs fewer queries."""
        queries, run = iter(range(1, 10_000)), WarehouseLookup._run
        failure = duckdb.IOException("the file is gone")

        def fail(lookup: WarehouseLookup, template: str) -> list[tuple[Any, ...]]:
            if next(queries) == at:
                raise failure
            return run(lookup, template)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WarehouseLookup, "_run", fail)
            try:
                complete = self.load(None)
            except Exception as error:
                if failure not in chain(error):
                    raise
                self.see_maybe()
                return
        assert complete
        self.see(self.on_server())

    @precondition(lambda self: self.world.visible())
    @rule(data=st.data())
    def a_job_vanishes(self, data: st.DataObject) -> None:
        self.world.remove(data.draw(st.sampled_from(self.world.visible()), label="job").id)

    @rule(fault=st.sampled_from(sorted(FAULTS)), at=st.integers(1, 12))
    def a_load(self, fault: str, at: int) -> None:
        def inject(asked: Asked) -> Answer | None:
            return FAULTS[fault] if asked.number == at else None

        failed = not self.load(inject)
        assert not failed or fault == "forbidden"
        if not failed:
            self.see(self.on_server())

    @rule(days=st.sampled_from([1, 3, 40]))
    def a_backfill(self, days: int) -> None:
        since = self.world.now - timedelta(days=days)
        assert self.load(None, since)
        world = self.world
        reached = {
            item.id for item in world.visible() if item.in_range(world.reading, since, None, world.now, world.bounds)
        }
        self.see({job_id: job for job_id, job in self.on_server().items() if job_id in reached})

    @precondition(lambda self: hasattr(os, "fork"))
    @rule(step=st.integers(1, 450), days=st.sampled_from([None, None, 3]))
    def a_load_is_killed(self, step: int, days: int | None) -> None:
        self.simulator.fault = None
        since = self.world.now - timedelta(days=days) if days else None
        load_in_child(Path(self.folder.name), self.options(since), step)
        self.see_maybe()

    def see_maybe(self) -> None:
        """Note the jobs that a load, which did not end, may have brought."""
        for job_id, job in self.on_server().items():
            self.maybe.setdefault(job_id, []).append(job)

    def on_server(self) -> dict[str, Any]:
        jobs = on_server(self.world, self.locations)
        for job_id, job in jobs.items():
            self.labels.setdefault(job_id, set()).add(job[LABELS])
        return jobs

    @rule(at=st.lists(st.integers(1, 25), max_size=3), appear=st.booleans(), vanish=st.booleans())
    def a_load_while_pages_move(self, at: list[int], appear: bool, vanish: bool) -> None:
        before = self.on_server()

        def drift(asked: Asked) -> None:
            if asked.number in at:
                ended = [item for item in self.world.visible() if item.finished(self.world.now)]
                if vanish and ended:
                    self.world.remove(ended[asked.number % len(ended)].id)
                if appear:
                    # The next request may remove this job again. A page may show it, although it exists neither
                    # before nor after the load, so it is uncertain.
                    job = replace(self.new_job(0), visible_from=None)
                    self.uncertain.add(job.id)
                    self.world.put(job)

        assert self.load(drift)
        after = self.on_server()
        self.uncertain |= before.keys() ^ after.keys()
        self.see({job_id: job for job_id, job in after.items() if job_id in before})

    def options(self, since: datetime | None) -> loading.LoadOptions:
        source = settings_of(
            self.simulator,
            start_date=(START - timedelta(days=1)).isoformat(),
            lag_hours=LAG_HOURS,
            locations=list(self.locations) or None,
        )
        return loading.LoadOptions(since, source=source)

    def load(self, fault: Any, since: datetime | None = None) -> bool:
        self.simulator.asked.clear()
        self.simulator.fault = fault
        try:
            summary = loading.load(self.options(since), Progress(), lambda _: None)
        except Exception as error:
            if not any(isinstance(item, SourceError) for item in chain(error)):
                raise
            return False
        self.loaded = True
        return summary.status == "complete" or bool(self.simulator.fault)

    def see(self, jobs: dict[str, Any]) -> None:
        loaded = in_warehouse(self.file)
        for job_id in self.dropped - jobs.keys() - loaded.keys():
            self.shown.pop(job_id, None)
        self.dropped.clear()
        self.shown.update(jobs)
        for job_id in self.shown.keys() & loaded.keys():
            if loaded[job_id][LABELS] in self.labels.get(job_id, ()):
                self.shown[job_id] = loaded[job_id][LABELS] + self.shown[job_id][LABELS.stop :]
        for job_id in self.uncertain & loaded.keys():
            self.shown.setdefault(job_id, loaded[job_id])
        self.uncertain -= self.shown.keys()
        for job_id, looks in self.maybe.items():
            if job_id not in jobs and loaded.get(job_id) in looks:
                self.shown[job_id] = loaded[job_id]
        self.maybe.clear()
        assert loaded == self.shown

    @invariant()
    def nothing_is_lost_between_loads(self) -> None:
        if self.loaded:
            assert in_warehouse(self.file).keys() >= self.shown.keys() - self.dropped
        STEPS["done"] += 1


def chain(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


Histories.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestHistories = Histories.TestCase


def teardown_module() -> None:
    """Print the number of steps; ``pytest -s`` shows it."""
    print(f"{STEPS['done']:,} steps of histories")
