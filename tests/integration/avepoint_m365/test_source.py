"""Test the source in a user's own pipeline: from the responses of the API to the rows of a DuckDB file."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import dlt
import pytest
import responses
from avepoint_m365 import avepoint_m365, schema
from avepoint_m365 import rows as source_rows
from avepoint_m365.constants import BASE_URLS, TOKEN_URLS
from dlt.destinations import duckdb as duckdb_destination

SAMPLE: list[dict[str, Any]] = [
    {
        "id": "FB20241015105312327583",
        "state": "Finished",
        "startTime": "2024-12-02T07:52:25Z",
        "finishTime": "2024-12-02T07:53:04Z",
        "duration": "0.011",
        "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 16, "skippedCount": 0},
        "jobErrors": [{"isErrorCode": True, "value": "Access denied", "url": "", "number": 3}],
    },
    {
        "id": "EFB20241015105312828443",
        "state": "Finished",
        "startTime": "2024-12-02T01:30:02Z",
        "finishTime": "2024-12-02T01:34:10Z",
        "duration": "0.069",
        "backupDetails": {"totalNumber": 438, "failedNumber": 0, "successfulNumber": 438, "skippedNumber": 0},
        "jobErrors": [],
    },
]


class FakeApi:
    """Simulate both generations in memory: jobs are Exchange Online backups.

    Keep the start of each requested window.
    """

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = [dict(job) for job in SAMPLE]
        self.windows: list[str] = []
        self.missing = 0

    def answer(self, request: Any) -> tuple[int, dict[str, str], str]:
        params = {name.lower(): values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        self.windows.append(params["starttime"])
        matches = params.get("objecttype", "0") in "01" and params.get("jobtype", "0") in "01"
        jobs = self.jobs if matches else []
        shown = jobs[: len(jobs) - self.missing] if self.missing else jobs
        return 200, {}, json.dumps({"jobs": shown, "totalNumber": len(jobs), "nextLink": ""})


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    fake = FakeApi()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(TOKEN_URLS["commercial"], json={"access_token": "token", "expires_in": 3600})
        mock.add_callback("GET", BASE_URLS["us"] + "/backup/m365/jobs", fake.answer)
        yield fake


def load(folder: Path, source: Any = None) -> dlt.Pipeline:
    pipeline = dlt.pipeline(
        "someone_elses",
        pipelines_dir=str(folder / "state"),
        destination=duckdb_destination(str(folder / "warehouse.duckdb")),
        dataset_name="theirs",
    )
    pipeline.run(source or exchange_and_teams()).raise_on_failed_jobs()
    return pipeline


def exchange_and_teams() -> Any:
    given: dict[str, Any] = {
        "credentials": {"client_id": "client", "client_secret": uuid.uuid4().hex},
        "object_types": ["exchange_online", "teams"],
        "start_date": "2024-01-01",
    }
    return avepoint_m365(**given)


def rows(pipeline: dlt.Pipeline, sql: str) -> list[tuple[Any, ...]]:
    with pipeline.sql_client() as client:
        client.execute_sql("SET TimeZone = 'UTC'")
        return [tuple(row) for row in client.execute_sql(sql) or []]


def tables_with_files(pipeline: dlt.Pipeline) -> set[str]:
    """Return the tables for which the last run loaded files of rows."""
    assert pipeline.last_trace is not None
    assert pipeline.last_trace.last_load_info is not None
    (package,) = pipeline.last_trace.last_load_info.load_packages
    jobs = package.jobs["completed_jobs"]
    return {job.job_file_info.table_name for job in jobs if job.job_file_info.file_format == "parquet"}


def test_all_tables_are_created_at_once_and_later_loaded_only_with_rows(api: FakeApi, tmp_path: Path) -> None:
    assert tables_with_files(load(tmp_path)) == {table.name for table in schema.TABLES}
    api.jobs[0]["state"] = "Failed"
    pipeline = load(tmp_path)
    with_rows = {"jobs", "jobs__backup_details", "jobs__job_errors", "job_changes", "load_audit"}
    assert tables_with_files(pipeline) == with_rows
    assert rows(pipeline, 'SELECT id, "column", old, new FROM job_changes') == [
        (SAMPLE[0]["id"], "state", "Finished", "Failed")
    ]


def test_a_column_that_is_new_in_this_version_is_added_without_rows(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = replace(schema.STATE_WORDS, columns=schema.STATE_WORDS.columns[:-1])
    columns = "SELECT column_name FROM (DESCRIBE state_words)"
    with monkeypatch.context() as before:
        for module in (schema, source_rows):
            before.setattr(module, "STATE_WORDS", older)
        pipeline = load(tmp_path)
    assert rows(pipeline, columns) == [(name,) for name in older.names]
    load(tmp_path)
    assert rows(pipeline, columns) == [(name,) for name in schema.STATE_WORDS.names]


def test_the_vendors_sample_loads_to_exactly_these_rows(api: FakeApi, tmp_path: Path) -> None:
    pipeline = load(tmp_path)
    result = rows(
        pipeline,
        "SELECT tenant, id, location, object_type, job_type, state, start_time, finish_time, duration_hours "
        "FROM jobs ORDER BY finish_time",
    )
    known = ("default",)
    assert [(*row[:6], *(item.astimezone(UTC) for item in row[6:8]), row[8]) for row in result] == [
        (
            *known,
            "EFB20241015105312828443",
            None,
            "exchange_online",
            "backup",
            "Finished",
            datetime(2024, 12, 2, 1, 30, 2, tzinfo=UTC),
            datetime(2024, 12, 2, 1, 34, 10, tzinfo=UTC),
            0.069,
        ),
        (
            *known,
            "FB20241015105312327583",
            None,
            "exchange_online",
            "backup",
            "Finished",
            datetime(2024, 12, 2, 7, 52, 25, tzinfo=UTC),
            datetime(2024, 12, 2, 7, 53, 4, tzinfo=UTC),
            0.011,
        ),
    ]
    assert rows(pipeline, "SELECT * FROM jobs__backup_details ORDER BY total_number") == [
        ("default", "FB20241015105312327583", 16, 0, 16, 0),
        ("default", "EFB20241015105312828443", 438, 0, 438, 0),
    ]
    assert rows(pipeline, "SELECT tenant, job_id, error_index, is_error_code, value, number FROM jobs__job_errors") == [
        ("default", "FB20241015105312327583", 0, True, "Access denied", 3)
    ]


def test_errors_that_the_api_no_longer_lists_are_deleted_from_the_warehouse(api: FakeApi, tmp_path: Path) -> None:
    load(tmp_path)
    api.jobs[0]["jobErrors"] = []
    pipeline = load(tmp_path)
    assert rows(pipeline, "SELECT * FROM jobs__job_errors") == []
    assert rows(pipeline, "SELECT count(*), count(DISTINCT id) FROM jobs") == [(2, 2)]


@pytest.mark.usual(1)
@pytest.mark.parametrize("turns", ["round_robin", "fifo"])
def test_a_second_run_of_a_source_yields_all_rows_again(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: str
) -> None:
    monkeypatch.setenv("EXTRACT__NEXT_ITEM_MODE", turns)
    source = exchange_and_teams()
    for place in (tmp_path / "one", tmp_path / "two"):
        place.mkdir()
        pipeline = load(place, source)
        assert rows(pipeline, "SELECT id FROM jobs ORDER BY id") == [(job["id"],) for job in reversed(SAMPLE)]
        assert len(rows(pipeline, "SELECT DISTINCT object_type FROM load_audit WHERE job_type IS NULL")) == 2
    api.jobs[0]["state"] = "Failed"
    load(place, source)
    assert rows(pipeline, "SELECT state FROM jobs ORDER BY id") == [("Finished",), ("Failed",)]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", None])
def test_a_range_of_the_user_is_requested_in_utc(api: FakeApi, tmp_path: Path, zone: str | None) -> None:
    begin, end = (
        moment.astimezone(ZoneInfo(zone)) if zone else moment.replace(tzinfo=None)
        for moment in (datetime(2024, 12, day, 3, tzinfo=UTC) for day in (1, 5))
    )
    source = exchange_and_teams()
    for resource in source.resources.values():
        resource.apply_hints(
            incremental=dlt.sources.incremental(
                "finish_time", initial_value=begin, end_value=end, primary_key=(), on_cursor_value_missing="include"
            )
        )
    load(tmp_path, source)
    assert min(api.windows) == "2024-12-01T03:00:00Z"


def test_the_next_load_asks_from_the_cursor_less_the_lag(api: FakeApi, tmp_path: Path) -> None:
    api.jobs[1]["startTime"] = "2024-12-01T21:30:02Z"
    load(tmp_path)
    assert "2024-01-01T00:00:00Z" in api.windows
    api.windows.clear()
    load(tmp_path)
    assert "2024-12-01T07:53:03Z" in api.windows
    assert "2024-01-01T00:00:00Z" not in api.windows, "teams, which had no job until now, is not read from the start"


def test_a_partition_that_stays_short_keeps_its_rows_but_not_its_cursor(api: FakeApi, tmp_path: Path) -> None:
    api.missing = 1
    pipeline = load(tmp_path)
    assert rows(pipeline, "SELECT id FROM jobs") == [("FB20241015105312327583",)]
    audit = "SELECT reported_total, distinct_jobs FROM load_audit WHERE NOT complete AND job_type IS NULL"
    assert rows(pipeline, audit) == [(2, 1)]
    api.missing = 0
    api.windows.clear()
    pipeline = load(tmp_path)
    assert "2024-01-01T00:00:00Z" in api.windows
    assert rows(pipeline, "SELECT count(*) FROM jobs") == [(2,)]


def test_a_job_that_finishes_late_replaces_its_open_row(api: FakeApi, tmp_path: Path) -> None:
    api.jobs[1] |= {"finishTime": "0001-01-01T00:00:00", "state": "In Progress"}
    pipeline = load(tmp_path)
    newest = "SELECT state, finish_time IS NULL FROM jobs WHERE id LIKE 'EFB%'"
    assert rows(pipeline, newest) == [("In Progress", True)]
    api.jobs[1] |= {"finishTime": "2024-12-01T00:00:00Z", "state": "Finished"}
    pipeline = load(tmp_path)
    assert rows(pipeline, newest) == [("Finished", False)]


def test_a_finish_in_the_future_is_stored_and_does_not_freeze_the_cursor(api: FakeApi, tmp_path: Path) -> None:
    far, near = "9999-12-31T23:59:59.9999999Z", datetime.now(UTC) + timedelta(hours=20)
    api.jobs[0] |= {"finishTime": far}
    api.jobs[1] |= {"finishTime": near.strftime("%Y-%m-%dT%H:%M:%SZ")}
    pipeline = load(tmp_path)
    assert rows(pipeline, "SELECT count(*) FROM jobs WHERE finish_time > now()") == [(1,)]
    api.windows.clear()
    load(tmp_path)
    assert min(api.windows) < f"{datetime.now(UTC) - timedelta(hours=24):%Y-%m-%dT%H:%M:%SZ}"
