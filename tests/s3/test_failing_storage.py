"""Test a lake whose storage answers 503: no row is lost, loads end with a reason, and the next load is correct."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import pytest
from avepoint_simulator import Simulator, make_world
from m365_jobs.locks import base as leases
from m365_jobs.schema import TABLES
from m365_jobs.warehouse.destinations.log_rows import KEYS as KEYS_OF_LOG_ROWS

from tests.support.cli import Cli, make_user
from tests.support.fault_cases import paragraph
from tests.support.s3 import ANSWERED_LATE, BUCKET, REFUSED, S3, Met, s3
from tests.support.tenant import START
from tests.support.truth import on_server

JOBS = (
    "SELECT id, location, object_type, job_type, state, epoch(start_time)::DOUBLE AS starts, "
    "epoch(finish_time)::DOUBLE AS finishes, total_number, failed_number, successful_number, skipped_number FROM jobs "
    "JOIN jobs__backup_details d ON d.tenant = jobs.tenant AND d.job_id = jobs.id"
)
ERRORS = "SELECT job_id, value, is_error_code, url, number FROM jobs__job_errors ORDER BY job_id, error_index"
KEYS = {table.name: table.key for table in TABLES if table.key} | KEYS_OF_LOG_ROWS
STRIDE = int(os.environ.get("M365_JOBS_FAIL_EVERY", "211"))
"""Distance between two requests at which the storage begins to fail."""

COMMITS = int(os.environ.get("M365_JOBS_COMMITS_EVERY", "5"))
"""Distance between two commits of a load that the storage answers with 503, although it stored them."""

COMMIT = r"PUT .*/_delta_log/\d+\.json$"


def twice(table: str) -> str:
    """Return SQL that finds keys of a table with several rows."""
    key = ", ".join(f'"{column}"' for column in KEYS[table])
    return f"SELECT '{table}' AS name, ROW({key})::VARCHAR AS key FROM {table} GROUP BY ALL HAVING count(*) > 1"


class Lake:
    """Control a tenant whose warehouse is a lake on S3."""

    def __init__(self, simulator: Simulator, user: Cli, store: S3) -> None:
        self.simulator, self.user, self.store = simulator, user, store

    def load(self) -> tuple[int, str, Met]:
        """Load, and return the exit code, the messages, and the requests that the storage received."""
        done = self.user.run("load", code=None)
        return done.returncode, done.stderr, self.store.heal()

    def change(self) -> None:
        """Move the server's clock forward by two hours, and change a known job."""
        world = self.simulator.world
        world.advance(timedelta(hours=2))
        recent = max((job for job in world.visible() if job.finished(world.now)), key=lambda job: job.start)
        world.change(recent.id, total=recent.total + 1)

    def move(self, name: str) -> None:
        """Use an empty lake with another name, from a machine without any state of dlt."""
        self.user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = f"s3://{BUCKET}/{name}"
        self.user.environment["DLT_DATA_DIR"] = str(self.user.folder.parent / name)

    def check(self) -> None:
        """Check that the lake has the rows of the server, and no row twice."""
        errors = [tuple(row.values()) for row in self._rows(ERRORS)]
        rows = [tuple(row.values()) for row in self._rows(JOBS)]
        loaded = {row[0]: (*row[1:], tuple(error[1:] for error in errors if error[0] == row[0])) for row in rows}
        assert len(loaded) == len(rows)
        assert loaded == on_server(self.simulator.world, False)
        assert self._rows(" UNION ALL ".join(map(twice, KEYS))) == []

    def recover(self) -> None:
        """Load without failures, and check the lake."""
        code, message, _ = self.load()
        assert code == 0, message
        self.check()

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = json.loads(self.user.run("query", sql, "--format", "json").stdout)
        return result


SHORT_PAUSES = {
    # delta-rs panics if the first pause is longer than the longest, so both are set.
    "backoff_config.init_backoff": "1ms",
    "backoff_config.max_backoff": "10ms",
}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    world = make_world(24, seed=3, now=START, days=20)
    world.put(*(replace(job, object_type=1 if job.object_type % 2 else 7) for job in world.all()))
    monkeypatch.setattr(avepoint_m365, "_now", lambda: world.now)
    with Simulator(world) as simulator, s3() as store:
        user = make_user(tmp_path, simulator)
        user.set(object_types='["exchange_online", "teams"]')
        section = "DESTINATION__FILESYSTEM"
        user.environment |= {
            "DESTINATION_TYPE": "filesystem",
            f"{section}__BUCKET_URL": f"s3://{BUCKET}/backup",
            f"{section}__CREDENTIALS__AWS_ACCESS_KEY_ID": "id",
            f"{section}__CREDENTIALS__AWS_SECRET_ACCESS_KEY": "key",
            f"{section}__CREDENTIALS__REGION_NAME": "eu-central-1",
            f"{section}__CREDENTIALS__ENDPOINT_URL": store.url,
            f"{section}__DELTALAKE_STORAGE_OPTIONS": json.dumps(SHORT_PAUSES),
        }
        # A load that cannot release its lease blocks the next one until the lease expires: make that short.
        monkeypatch.setattr(leases, "LEASE_SECONDS", 5.0)
        monkeypatch.setattr(leases, "POLL", 0.05)
        monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *given, **more: 0.0)
        yield Lake(simulator, user, store)


@pytest.fixture
def impatient_lake(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Create a lake whose clients try three times, instead of 11 times (delta-rs) and 25 times (s3fs)."""
    options = json.dumps({**SHORT_PAUSES, "max_retries": "2"})
    lake.user.environment |= {"DESTINATION__FILESYSTEM__DELTALAKE_STORAGE_OPTIONS": options, "AWS_MAX_ATTEMPTS": "3"}
    # s3fs repeats requests after botocore has given up.
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    return lake


def check_end(code: int, message: str) -> None:
    """Check that a load succeeded, or failed with a message that names the refusal of the storage."""
    assert code in (0, 1), message
    if code:
        assert paragraph(message), message
        assert re.search("503|SlowDown|reduce your request rate", message), message


def test_a_storage_that_fails_now_and_then_delays_a_load(lake: Lake) -> None:
    for _ in range(2):
        lake.store.fail(REFUSED, every=3)
        code, message, met = lake.load()
        assert code == 0, message
        assert len(met.failed) > 20
        lake.check()
        lake.change()
    lake.recover()


@pytest.mark.parametrize(
    ("which", "times"),
    [("first", None), ("later", None), ("later", 20)],
    ids=["first, for ever", "later, for ever", "later, for a while"],
)
def test_a_storage_that_fails_from_a_request_on_ends_the_load_and_the_next_is_right(
    impatient_lake: Lake, which: str, times: int | None
) -> None:
    lake = impatient_lake
    refused = survived = 0
    if which == "later":
        lake.recover()
    for skip in (0, *range(1, 2_000, STRIDE)):
        if which == "first":
            lake.move(f"lake{skip}")
        else:
            lake.change()
        lake.store.fail(REFUSED, skip=skip, times=times)
        code, message, met = lake.load()
        check_end(code, message)
        if not met.failed:
            break
        survived, refused = survived + (not code), refused + code
        lake.recover()
    print(f"{which}: {survived + refused} requests from which on the storage failed, {survived} loads survived")
    assert refused


@pytest.mark.parametrize("which", ["first", "later"])
def test_a_commit_that_was_done_although_the_storage_answered_503_leaves_no_row_twice(lake: Lake, which: str) -> None:
    commits = []
    if which == "later":
        lake.recover()
    for skip in range(0, 400, COMMITS):
        if which == "first":
            lake.move(f"lake{skip}")
        else:
            lake.change()
        lake.store.fail(ANSWERED_LATE, COMMIT, skip=skip, times=1)
        code, message, met = lake.load()
        assert code == 0, message
        if not met.failed:
            break
        commits += met.failed
        lake.recover()
    print(f"{which}: {len(commits)} commits that were answered late")
    assert len(commits) > 20 // COMMITS
