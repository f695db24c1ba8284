"""Test that output stays readable with hundreds of tenants, and names each of those that need attention."""

import os
import sys
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from avepoint_m365 import Progress
from m365_jobs.cli import lifetime
from m365_jobs.cli.options import print_failure
from m365_jobs.cli.progress import report_tenants
from m365_jobs.cli.tables.status import status_tables
from m365_jobs.errors.explain import Failure
from m365_jobs.health.failed_companions import failure_lines
from m365_jobs.load.parallel import TenantLoads, TenantNotes, TenantResult
from m365_jobs.load.summary import Summary
from m365_jobs.terminal import print_line
from rich.console import Console

from tests.support import status_document

NAMES = [f"tenant{number:03}" for number in range(200)]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_line_that_tenants_share_is_printed_for_three_and_then_for_all_others_at_once() -> None:
    lines: list[str] = []
    notes = TenantNotes(lines.append)
    for name in NAMES[:5]:
        notes.add(name, "left out.")
    notes.add("tenant000", "left out.")
    notes.add("tenant004", "Loaded up to noon.")
    notes.flush()
    assert lines == [
        *[f"tenant00{number}: left out." for number in (0, 1, 2, 0)],
        "tenant004: Loaded up to noon.",
        "tenant003, tenant004: left out.",
    ]


def test_tenants_that_fail_alike_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    unreachable, refused = Failure("destination", "No warehouse.", 1), Failure("auth", "Wrong secret.", 2)
    results = [TenantResult(name, failure=unreachable) for name in NAMES[:3]]
    results += [TenantResult("tenant003", failure=refused), TenantResult("tenant004", Summary("r", "t", "w", "d"))]
    report_tenants(TenantLoads({name: Progress() for name in NAMES[:6]}, results))
    assert capsys.readouterr().err.splitlines() == [
        "tenant000, tenant001, tenant002: failed (destination): No warehouse.",
        "tenant003: failed (auth): Wrong secret.",
        "1 of 6 tenants loaded, 0 of them incomplete, 4 failed, 1 interrupted: 0 jobs new, 0 changed, 0 requests.",
        "Warehouse: w, dataset d.",
    ]


def partition(tenant: str, object_type: str, complete: bool = True) -> dict[str, Any]:
    """Return a partition as ``status`` reads it."""
    return {
        "tenant": tenant,
        "location": None,
        "object_type": object_type,
        "rows_held": 10,
        "open_jobs": 0,
        "oldest_open_start": None,
        "newest_finish": NOW,
        "complete_until": NOW,
        "complete": complete,
    }


def run(tenant: str, status: str) -> dict[str, Any]:
    """Return a load as ``status`` reads it."""
    detail = "Wrong secret." if status == "failed" else None
    return {"tenant": tenant, "started_at": NOW, "status": status, "jobs": 1, "requests": 1, "detail": detail}


def test_status_has_a_row_for_each_of_many_tenants_and_a_line_for_their_complete_loads() -> None:
    status = status_document.EMPTY.copy()
    status["tables"] = {"jobs": 4_000}
    services = [(name, service) for name in NAMES for service in ("teams", "onedrive")]
    status["partitions"] = [
        partition(name, service, (name, service) != (NAMES[7], "teams")) for name, service in services
    ]
    status["runs"] = [run(name, "failed" if name == NAMES[9] else "complete") for name in NAMES]
    printed = StringIO()
    for part in status_tables(status):
        Console(file=printed, width=80).print(part)
    rows = [line.split() for line in printed.getvalue().splitlines() if line.startswith(" tenant")]
    assert [row[0] for row in rows] == [NAMES[7], *NAMES[:7], *NAMES[8:], NAMES[9]]
    assert {row[1] for row in rows[:-1]} == {"20"}
    assert rows[-1][-3:] == ["failed", "1", "1"]
    assert "Last load complete: 199 tenants, " in printed.getvalue()
    assert "tenant009: Wrong secret." in printed.getvalue()
    assert len(printed.getvalue().splitlines()) < 220


@pytest.mark.parametrize(("tenants", "named"), [(2, "tenant000, tenant001"), (200, "200 tenants")])
def test_companions_that_many_tenants_lack_share_a_line(tenants: int, named: str) -> None:
    missing = {"companion": "licenses", "status": "permission_missing", "permission": "x.read.all", "detail": None}
    lines = list(failure_lines([{"tenant": name} | missing for name in NAMES[:tenants]]))
    assert lines == [f"Skipped: {named}: licenses: permission x.read.all is missing."]


@pytest.mark.parametrize("buffering", [-1, 1])
def test_messages_are_dropped_once_their_reader_has_ended(monkeypatch: pytest.MonkeyPatch, buffering: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        print_line("lost")
        print_line("lost")


def test_an_interruption_of_an_import_is_reported_without_further_imports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("m365_jobs.errors.explain", "m365_jobs.terminal"):
        monkeypatch.setitem(sys.modules, name, None)
    assert print_failure(KeyboardInterrupt(), verbose=False) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_closed_streams_drop_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    lifetime.prepare_streams()
    print("lost")
    print("lost", file=sys.stderr, flush=True)
    assert sys.stdin.read() == ""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()
