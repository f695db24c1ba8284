"""Test what the dashboard says about a warehouse that it cannot read."""

from pathlib import Path

import pytest
from m365_jobs.reports.dashboard.cache import PageCache
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.target import open_warehouse


def test_a_damaged_file_is_not_taken_for_a_load_that_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m365_warehouse.duckdb").write_bytes(b"\0" * 8192)
    cache = PageCache(open_warehouse(wait=0), ())
    page, notice = cache.page(Filter(), None, lock_timeout=0)
    assert page is None
    assert "not a valid DuckDB database file" in notice
