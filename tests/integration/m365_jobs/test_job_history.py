"""Test the history of a job in the warehouse, with a documented server: states, counts, first sight."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import duckdb
import pytest
from avepoint_m365 import Progress
from m365_jobs.load import run as loading
from m365_jobs.load.known_jobs import WarehouseLookup

from tests.support.documented import Backup, DocumentedServer, serving

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


class Auditor:
    """Load from a server into a DuckDB file by the server's clock, and read the file."""

    def __init__(self, server: DocumentedServer, file: Path) -> None:
        self.server, self.file = server, file
        self.incomplete: list[str] = []
        self.findings: set[str] = set()

    def load(self, hours: float, **more: Any) -> int:
        """Load at a time, and return the number of requests of both generations."""
        self.server.now = at(hours)
        source = {
            "credentials": {"client_id": "id", "client_secret": "secret"},
            "base_url": self.server.url,
            "token_url": f"{self.server.url}/connect/token",
            "start_date": at(-72).isoformat(),
            "include": "none",
            **more,
        }
        self.server.asked.clear()
        summary = loading.load(loading.LoadOptions(source=source), Progress(), lambda _: None)
        self.incomplete, self.findings = summary.incomplete, set(summary.source_findings)
        return len(self.server.asked)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
            return connection.execute(sql).fetchall()

    def contents(self) -> dict[str, tuple[Any, ...]]:
        """Return the values that the warehouse holds for each job."""
        columns = "j.id, j.location, j.object_type, j.job_type, j.state, j.finish_time, d.total_number, d.failed_number"
        query = f"SELECT {columns} FROM jobs AS j JOIN jobs__backup_details AS d ON d.job_id = j.id"
        rows = self.rows(query)
        assert len({row[0] for row in rows}) == len(rows)
        return {row[0]: row[1:] for row in rows}


@pytest.fixture
def auditor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Auditor]:
    server = DocumentedServer(START)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(avepoint_m365, "_now", lambda: server.now)
    with serving(server):
        yield Auditor(server, tmp_path / "m365_warehouse.duckdb")


def test_an_auditor_sees_that_a_job_was_failed_before_it_was_finished(auditor: Auditor) -> None:
    first = Backup("FB1", at(-3), at(1), total=40, failed=7, state="Failed")
    other = Backup("FB2", at(-5), at(-4))
    auditor.server.jobs = [first, other]
    sights = "SELECT id, first_seen_at, fetched_at FROM jobs ORDER BY id"
    auditor.load(0)
    ((_, seen, read), (_, seen_other, _)) = auditor.rows(sights)
    assert seen == read == seen_other
    assert auditor.rows("SELECT * FROM job_changes") == []
    auditor.load(2)
    ((_, first_seen, failed_read), unchanged) = auditor.rows(sights)
    assert first_seen == seen < failed_read
    assert unchanged == ("FB2", seen, seen)
    # The vendor corrects the job afterwards.
    auditor.server.jobs[0] = replace(first, state="Finished", failed=0)
    auditor.load(3)
    ((_, first_seen, finished_read), unchanged) = auditor.rows(sights)
    assert first_seen == seen < failed_read < finished_read
    assert unchanged == ("FB2", seen, seen)
    assert auditor.load(4) == 1
    assert auditor.rows(sights)[0][2] == finished_read, "read again without a change"
    changes = "SELECT changed_at, \"column\", old, new FROM job_changes WHERE id = 'FB1'"
    assert sorted(auditor.rows(changes)) == sorted(
        [
            (failed_read, "state", "InProgress", "Failed"),
            (failed_read, "total_number", "0", "40"),
            (failed_read, "failed_number", "0", "7"),
            (failed_read, "successful_number", "0", "33"),
            (finished_read, "state", "Failed", "Finished"),
            (finished_read, "failed_number", "7", "0"),
            (finished_read, "successful_number", "33", "40"),
        ]
    )
    assert auditor.rows("SELECT count(*) FROM job_changes WHERE id <> 'FB1'") == [(0,)]


def history() -> list[Backup]:
    """Return jobs of documented and undocumented types, in listed and unlisted locations."""
    kinds = [(1, 1, "NAM"), (2, 2, "EUR"), (13, 1, "NAM"), (1, 6, "EUR"), (13, 6, "NAM"), (7, 1, "XYZ"), (14, 7, "XYZ")]
    return [
        Backup(f"FB{number:03}", at(-60 + number), at(-59.5 + number), *kinds[number % len(kinds)])
        for number in range(56)
    ]


OBJECT_TYPES, JOB_TYPES = {1: "exchange_online", 2: "sharepoint_online", 7: "teams"}, {1: "backup", 2: "restore"}


def truth(auditor: Auditor, locations: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Return the values that the warehouse must hold for each job."""
    return {
        job.id: (
            job.location if job.location in locations else None,
            OBJECT_TYPES.get(job.object_type),
            JOB_TYPES.get(job.job_type),
            job.state,
            job.finish,
            job.total,
            job.failed,
        )
        for job in auditor.server.jobs
        if job.start <= auditor.server.now
    }


@pytest.mark.usual(1)
@pytest.mark.parametrize("locations", [(), ("NAM", "EUR")])
def test_jobs_outside_of_the_lists_are_loaded_once_and_stay_a_finding(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch, locations: tuple[str, ...]
) -> None:
    settings = {"locations": list(locations) or None}
    auditor.server.jobs = history()
    auditor.load(0, **settings)
    assert auditor.contents() == truth(auditor, locations)
    expected = {"unknown_object_type", "unknown_job_type"} | ({"unlisted_location"} if locations else set())
    assert auditor.findings == expected
    # A load requests their types a second time, because the API may list them late. After that, one request is enough.
    auditor.load(0.5, **settings)
    assert auditor.load(1, **settings) == 1
    assert auditor.findings == expected
    assert auditor.rows("SELECT count(*) FROM job_changes") == [(0,)]
    # Rows are lost, and new jobs of each kind arrive.
    with duckdb.connect(str(auditor.file)) as connection:
        connection.execute("DELETE FROM m365_jobs.jobs WHERE id IN ('FB050', 'FB051', 'FB052')")
    news = [replace(job, id=f"IB{job.id[2:]}", start=at(1), finish=at(1.2)) for job in history()[:7]]
    auditor.server.jobs += news
    auditor.load(2, **settings)
    assert auditor.contents() == truth(auditor, locations)
    # The warehouse refuses queries during a load: that load fails, and the next load is complete.
    run, questions = WarehouseLookup._run, iter(range(100))

    def fail_later(lookup: WarehouseLookup, template: str) -> list[tuple[Any, ...]]:
        if next(questions) >= 2:
            raise duckdb.IOException("the file is gone")
        return run(lookup, template)

    auditor.server.jobs.append(replace(news[2], id="IB999", start=at(2.1), finish=at(2.2)))
    with monkeypatch.context() as patch:
        patch.setattr(WarehouseLookup, "_run", fail_later)
        with pytest.raises(duckdb.IOException):
            auditor.load(3, **settings)
    auditor.load(4, **settings)
    assert auditor.contents() == truth(auditor, locations)
    assert auditor.rows("SELECT count(*) FROM job_changes") == [(0,)]
    proofs = "SELECT complete, count(*) > 0 FROM load_audit GROUP BY complete"
    assert auditor.rows(proofs) == [(True, True)]
