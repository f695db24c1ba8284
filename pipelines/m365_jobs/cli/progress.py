"""Show a load to the user on stderr: its progress, and a summary at its end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from avepoint_m365 import Progress

from m365_jobs.terminal import print_line
from m365_jobs.text import format_count, shorten

if TYPE_CHECKING:
    from m365_jobs.errors.explain import Failure
    from m365_jobs.load.copy import CopyResult
    from m365_jobs.load.parallel import TenantLoads, TenantResult
    from m365_jobs.load.summary import Summary

PLAIN_INTERVAL = 5.0
"""Seconds between two lines of progress without a terminal."""

LEAST_SHARE, LEAST_SECONDS = 0.02, 3.0
"""The remaining time is estimated after this share of the jobs and this many seconds."""


def progress_of_one(progress: Progress, seconds: float) -> str:
    """Return the progress of a load in one line, ``seconds`` after its start."""
    verb = "Reading" if progress.reading else "Writing"
    total = progress.expected or 0
    share = 0.0
    jobs = format_count(progress.jobs, "job")
    if progress.reading and progress.jobs < total:
        share = progress.jobs / total
        jobs = f"{progress.jobs:,} of {format_count(total, 'job')} ({share:.0%})"
    line = f"{verb}: {jobs}, {format_count(progress.stats.attempts, 'request')}, {seconds:.0f} s"
    if wait := progress.stats.waiting:
        return f"{line}; {wait}"
    if share >= LEAST_SHARE and seconds >= LEAST_SECONDS:
        return f"{line}, {_rounded(seconds * (1 - share) / share)} left"
    return line


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def progress_of_tenants(tenant_loads: TenantLoads, seconds: float) -> str:
    """Return the progress of the loads of several tenants in one line, ``seconds`` after their start."""
    loads = list(tenant_loads.progress.values())
    if len(loads) == 1:
        return progress_of_one(loads[0], seconds)
    jobs, requests = sum(load.jobs for load in loads), sum(load.stats.attempts for load in loads)
    line = (
        f"{len(tenant_loads.results)} of {format_count(len(loads), 'tenant')}, {format_count(jobs, 'job')}, "
        f"{format_count(requests, 'request')}, {seconds:.0f} s"
    )
    waits = [(name, wait) for name, load in tenant_loads.progress.items() if (wait := load.stats.waiting)]
    if not waits:
        return line
    name, wait = waits[0]
    return f"{line}; {name}: {wait}" + (f", and {len(waits) - 1} more" if waits[1:] else "")


@contextmanager
def watch(line: Callable[[float], str]) -> Iterator[None]:
    """Show ``line``, made of the elapsed seconds, until the block ends: in place on a terminal, else as plain lines."""
    began, stop = time.monotonic(), threading.Event()

    def now() -> str:
        return line(time.monotonic() - began)

    thread = threading.Thread(target=_in_place if sys.stderr.isatty() else _in_lines, args=(now, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _in_place(line: Callable[[], str], stop: threading.Event) -> None:
    # Imported here: a scheduled load has no terminal, and rich is 3 % of its start-up.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def text() -> Text:
        return Text(line(), no_wrap=True, overflow="ellipsis")

    with Live(text(), console=Console(stderr=True, soft_wrap=True), transient=True, auto_refresh=False) as live:
        while not stop.wait(0.2):
            live.update(text(), refresh=True)


def _in_lines(line: Callable[[], str], stop: threading.Event) -> None:
    while not stop.wait(PLAIN_INTERVAL):
        print_line(line())


def report_tenants(tenant_loads: TenantLoads) -> None:
    """Print the results of several tenants: a line for each that is not fine, and one for all.

    For a single tenant, print the summary of its load, or the cause of its failure.
    """
    results = sorted(tenant_loads.results, key=lambda result: result.tenant)
    ended = [result for result in results if not result.interrupted]
    tenants = len(tenant_loads.progress)
    if tenants == 1:
        for result in ended:
            if result.summary:
                report_load(result.summary)
            elif result.failure:
                print_line(f"Error ({result.failure.kind}): {result.failure.text}")
        return
    summaries = [result.summary for result in ended if result.summary]
    for names, failure in _by_failure(ended).items():
        print_line(f"{names}: failed ({failure.kind}): {failure.text}")
    for result in ended:
        if result.summary and result.summary.incomplete:
            print_line(f"{result.tenant}: not proved complete: {'; '.join(result.summary.incomplete[:3])}.")
    incomplete, new = sum(bool(summary.incomplete) for summary in summaries), sum(summary.new for summary in summaries)
    changed, requests = sum(summary.changed for summary in summaries), sum(summary.requests for summary in summaries)
    print_line(
        f"{len(summaries)} of {format_count(tenants, 'tenant')} loaded, {incomplete} of them incomplete"
        f"{_others(ended, tenants - len(ended))}: {format_count(new, 'job')} new, {changed:,} changed, "
        f"{format_count(requests, 'request')}."
    )
    for warehouse in sorted({f"{summary.warehouse}, dataset {summary.dataset}" for summary in summaries}):
        print_line(f"Warehouse: {warehouse}.")


def _by_failure(ended: Sequence[TenantResult]) -> dict[str, Failure]:
    """Return each failure by the names of the tenants that share it, such as a warehouse that is unreachable."""
    names: dict[Failure, list[str]] = {}
    for result in ended:
        if result.failure:
            names.setdefault(result.failure, []).append(result.tenant)
    return {", ".join(tenants): failure for failure, tenants in names.items()}


def _others(ended: Sequence[TenantResult], interrupted: int) -> str:
    """Return how many tenants were not loaded, by reason."""
    failed = sum(bool(result.failure) for result in ended)
    skipped = sum(not result.summary and not result.failure for result in ended)
    counts = {"failed": failed, "interrupted": interrupted, "left to other workers": skipped}
    return "".join(f", {number} {reason}" for reason, number in counts.items() if number)


def report_load(summary: Summary) -> None:
    """Print the summary of a load."""
    jobs = summary.new + summary.changed + summary.unchanged
    print_line(
        f"Read {format_count(jobs, 'job')} in {format_count(summary.requests, 'request')} and {summary.seconds:.1f} s: "
        f"{summary.new:,} new, {summary.changed:,} changed, {summary.unchanged:,} as before."
    )
    if summary.states:
        states = [f"{shorten(state, 40)} {count:,}" for state, count in summary.states.most_common(10)]
        if more := len(summary.states) - len(states):
            states.append(f"and {format_count(more, 'more state')}")
        print_line(f"By state: {', '.join(states)}.")
    if summary.retries:
        print_line(f"{format_count(summary.retries, 'request')} had to be repeated.")
    for text in summary.incomplete[:10]:
        print_line(f"Not proved complete: {text}.")
    if len(summary.incomplete) > 10:
        print_line(f"... and {len(summary.incomplete) - 10} more; they are in load_audit.")
    if not summary.incomplete:
        print_line("Proved complete: every job that the API shows for what was asked is loaded.")
    else:
        print_line("What was found is loaded; the next load reads these partitions again from the same place.")
    for text in summary.findings:
        print_line(f"Check failed: {text}. The rows are loaded unchanged; load_check_failures keeps the failure.")
    print_line(f"Warehouse: {summary.warehouse}, dataset {summary.dataset}, tenant {summary.tenant}.")


def report_copy(result: CopyResult, destination: str, dataset: str | None) -> None:
    """Print the summary of a copy, with the command that continues loads at its destination."""
    for tenant, rows in result.rows.items():
        print_line(
            f"{tenant}: " + (", ".join(f"{name} {count:,}" for name, count in rows.items()) or "nothing new") + "."
        )
    load = f"m365-jobs load --destination {destination}" + (f" --dataset {dataset}" if dataset else "")
    print_line(f"Warehouse: {result.warehouse}. Continue there with: {load}")
