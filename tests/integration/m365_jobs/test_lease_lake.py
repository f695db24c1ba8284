"""Test leases in a lake: several workers at once, and later workers; test_workers.py tests whole loads with them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from dlt.destinations.exceptions import DatabaseException
from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.errors.explain import explain
from m365_jobs.locks import base as leases
from m365_jobs.locks import lake
from m365_jobs.locks.base import TenantLockedError
from m365_jobs.locks.lake import LakeLease

from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.destinations

AT_ONCE = timedelta(0)
"""No wait: raise an error if another worker has the lease."""


@pytest.fixture
def lease_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], LakeLease]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    pipeline = Warehouse("filesystem").pipeline()
    return lambda run_id: LakeLease(pipeline, "default", run_id, print)


def table(folder: Path) -> DeltaTable:
    return DeltaTable(folder / "lake" / "m365_jobs_leases" / "m365_jobs")


def row(folder: Path) -> dict[str, Any]:
    (rows,) = table(folder).to_pyarrow_table().to_pylist()
    return dict(rows)


def rewrite(folder: Path, **changed: object) -> None:
    """Change the row as another worker does."""
    rows = pa.Table.from_pylist([row(folder) | changed], lake.COLUMNS)
    write_deltalake(table(folder), rows, mode="overwrite")


def test_one_of_several_concurrent_workers_acquires_the_lease(lease_of: Callable[[str], LakeLease]) -> None:
    start = threading.Barrier(6)

    def ask(number: int) -> LakeLease | None:
        first = lease_of(f"run{number}")
        start.wait()
        try:
            first.acquire(AT_ONCE, 0, print)
        except TenantLockedError:
            return None
        return first

    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            (holder,) = filter(None, pool.map(ask, range(6)))
            with holder:
                pass


def test_a_held_lease_is_renewed_and_a_released_one_has_its_end(
    lease_of: Callable[[str], LakeLease], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(leases, "POLL", 0.05)
    before = datetime.now(UTC)
    with lease_of("run1") as loaded:
        loaded.acquire(AT_ONCE, 0, print)
        assert "run run1" in row(tmp_path)["holder"]
        with pytest.raises(TenantLockedError, match="is running"):
            # Wait four times as long as a lease lasts that is not renewed.
            lease_of("run2").acquire(None, 1.2, print)
    ended = row(tmp_path)
    assert ended["holder"] is None
    assert before < ended["ended_at"] < datetime.now(UTC)
    with pytest.raises(TenantLockedError, match=r"ended \d+ seconds? ago"):
        lease_of("run2").acquire(timedelta(minutes=1), 0, print)
    with lease_of("run2") as loaded:
        loaded.acquire(AT_ONCE, 0, print)


def test_without_waiting_only_a_long_expired_lease_is_acquired(
    lease_of: Callable[[str], LakeLease], tmp_path: Path
) -> None:
    with lease_of("run1") as loaded:
        loaded.acquire(AT_ONCE, 0, print)
    # The last time lies in the future: the clock was set back since.
    for minutes, free in ((5, False), (7, True), (-7, True)):
        rewrite(tmp_path, holder="killed", renewed_at=datetime.now(UTC) - timedelta(minutes=minutes))
        with lease_of("run2") as asked:
            if free:
                asked.acquire(AT_ONCE, 0, print)
            else:
                with pytest.raises(TenantLockedError, match="killed"):
                    asked.acquire(AT_ONCE, 0, print)


def test_a_clock_that_was_set_back_blocks_no_load(lease_of: Callable[[str], LakeLease], tmp_path: Path) -> None:
    with lease_of("run1") as loaded:
        loaded.acquire(AT_ONCE, 0, print)
    rewrite(tmp_path, ended_at=datetime.now(UTC) + timedelta(days=1))
    with lease_of("run2") as loaded:
        loaded.acquire(timedelta(minutes=10), 0, print)


def test_a_lost_lease_is_not_released(
    lease_of: Callable[[str], LakeLease], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with lease_of("run1") as lost:
        lost.acquire(AT_ONCE, 0, print)
        rewrite(tmp_path, holder="another")
        for _ in range(2):
            with pytest.raises(WarehouseError, match="another worker loads the tenant now"), lost.writing(None):
                pytest.fail("wrote")
    assert row(tmp_path)["holder"] == "another"


def test_an_unreachable_storage_is_reported_as_a_destination_failure(
    lease_of: Callable[[str], LakeLease], monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **more: object) -> None:
        # delta-rs reports an unreachable store in these words.
        raise OSError("Generic S3 error: error sending request: client error (Connect): Connection refused")

    monkeypatch.setattr(DeltaTable, "__init__", down)
    with pytest.raises(DatabaseException) as caught:
        lease_of("run1").acquire(AT_ONCE, 0, print)
    why = explain(caught.value)
    assert (why.kind, why.exit_code) == ("destination", 1)
    assert why.text.startswith("The destination cannot be reached: Generic S3 error")


def test_a_lease_whose_commit_was_done_although_the_storage_answered_503_is_had_at_once(
    lease_of: Callable[[str], LakeLease], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused: list[bool] = []

    def commit(*given: Any, **more: Any) -> None:
        """Commit, but fail the first time like delta-rs, which repeats a request and finds its own version."""
        write_deltalake(*given, **more)
        if not refused:
            refused.append(True)
            raise CommitFailedError("A table with version 1 already exists")

    monkeypatch.setattr(lake, "write_deltalake", commit)
    with lease_of("run1") as loaded:
        loaded.acquire(AT_ONCE, 0, print)
        assert row(tmp_path)["holder"].endswith("run run1")
        with pytest.raises(TenantLockedError):
            lease_of("run2").acquire(AT_ONCE, 0, print)
    assert refused


def test_files_of_old_versions_are_removed_while_the_lease_is_held(
    lease_of: Callable[[str], LakeLease], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lake, "TIDY_VERSIONS", 1)
    monkeypatch.setattr(lake, "KEEP_HOURS", 0)
    for number in range(3):
        with lease_of(f"run{number}") as loaded:
            loaded.acquire(AT_ONCE, 0, print)
    # One file with the row of the last holder, and one with its end.
    assert len(list((tmp_path / "lake" / "m365_jobs_leases" / "m365_jobs").glob("*.parquet"))) == 2


def test_the_files_of_a_lease_do_not_accumulate(
    lease_of: Callable[[str], LakeLease], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lake, "TIDY_VERSIONS", 20)
    monkeypatch.setattr(lake, "KEEP_HOURS", 0)
    counts = []
    for number in range(40):
        with lease_of(f"run{number}") as loaded:
            loaded.acquire(AT_ONCE, 0, print)
        counts.append(len([file for file in (tmp_path / "lake").rglob("*") if file.is_file()]))
    # Two files per commit, four commits per load, and log entries with their checkpoint.
    assert max(counts) <= 60
    assert min(counts[20:]) <= 12
    assert row(tmp_path)["holder"] is None
