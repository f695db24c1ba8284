"""Test what a load shows while it runs."""

import threading
import time
from collections.abc import Callable

import pytest
from avepoint_m365 import Progress
from avepoint_m365.api.stats import Wait
from m365_jobs.cli import progress as progress_module
from m365_jobs.cli.progress import progress_of_one, progress_of_tenants, watch
from m365_jobs.load.parallel import TenantLoads


@pytest.mark.parametrize(
    ("progress", "seconds", "line"),
    [
        (Progress(), 0, "Reading: 0 jobs, 0 requests, 0 s"),
        (Progress(jobs=4_000), 20, "Reading: 4,000 jobs, 0 requests, 20 s"),
        (Progress(jobs=10, expected=4_000), 20, "Reading: 10 of 4,000 jobs (0%), 0 requests, 20 s"),
        (Progress(jobs=1_000, expected=4_000), 2, "Reading: 1,000 of 4,000 jobs (25%), 0 requests, 2 s"),
        (Progress(jobs=1_000, expected=4_000), 20, "Reading: 1,000 of 4,000 jobs (25%), 0 requests, 20 s, 60 s left"),
        (
            Progress(jobs=1_000, expected=40_000),
            20,
            "Reading: 1,000 of 40,000 jobs (2%), 0 requests, 20 s, 13 min left",
        ),
        (Progress(jobs=4_000, expected=4_000), 20, "Reading: 4,000 jobs, 0 requests, 20 s"),
        (Progress(jobs=4_000, expected=5_000, reading=False), 20, "Writing: 4,000 jobs, 0 requests, 20 s"),
    ],
)
def test_the_progress_line_has_the_activity_and_the_remaining_time(
    progress: Progress, seconds: float, line: str
) -> None:
    assert progress_of_one(progress, seconds) == line


@pytest.mark.parametrize(
    ("wait", "shown"),
    [
        (lambda: Wait("throttled", until=time.monotonic() + 3_600_000), "throttled, resumes in 3"),
        (lambda: Wait("host unreachable", 3, 5), "host unreachable, attempt 3 of 5"),
    ],
)
def test_the_progress_line_has_the_reason_of_a_wait_instead_of_an_estimate(
    wait: Callable[[], Wait], shown: str
) -> None:
    waiting = Progress(jobs=1_000, expected=4_000)
    waiting.stats.record_wait(wait())
    assert progress_of_one(waiting, 20).startswith(
        f"Reading: 1,000 of 4,000 jobs (25%), 0 requests, 20 s; {shown}"
    )  # fmt: skip
    tenant_loads = TenantLoads({"contoso": Progress(jobs=1), "fabrikam": waiting})
    assert progress_of_tenants(tenant_loads, 20).startswith(
        f"0 of 2 tenants, 1,001 jobs, 0 requests, 20 s; fabrikam: {shown}"
    )
    tenant_loads.progress["contoso"].stats.record_wait(wait())
    assert progress_of_tenants(tenant_loads, 20).startswith(
        f"0 of 2 tenants, 1,001 jobs, 0 requests, 20 s; contoso: {shown}"
    )
    assert progress_of_tenants(tenant_loads, 20).endswith(", and 1 more")
    tenant_loads.progress["contoso"].stats.record_wait(None)
    waiting.stats.record_wait(None)
    assert progress_of_tenants(tenant_loads, 20) == "0 of 2 tenants, 1,001 jobs, 0 requests, 20 s"


def test_without_a_terminal_lines_are_not_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_INTERVAL", 0.01)
    asked = threading.Semaphore(0)

    def line(seconds: float) -> str:
        asked.release()
        return "1 of 2 [bold]tenants[/bold], :warning: 7 jobs"

    with watch(line):
        for _ in range(3):
            assert asked.acquire(timeout=60)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert set(lines) == {"1 of 2 [bold]tenants[/bold], :warning: 7 jobs"}
