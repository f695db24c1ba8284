"""What a person sees of a load: progress while it works, a summary at its end. All of it goes to stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from avepoint_m365 import Progress
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from m365_jobs.load import Summary

PLAIN_INTERVAL = 5.0
"""Seconds between two lines of progress where there is no terminal."""


def say(text: str) -> None:
    """One line to stderr."""
    Console(stderr=True, soft_wrap=True).print(escape(text), highlight=False)


def line(progress: Progress, seconds: float) -> str:
    """Progress in one line of at most 80 columns."""
    parts = [
        f"{progress.partitions_done}/{progress.partitions} partitions",
        f"{progress.jobs:,} jobs",
        f"{progress.traffic.attempts:,} requests",
    ]
    if progress.traffic.throttled:
        parts.append(f"throttled {progress.traffic.throttled:,}x")
    done = progress.partitions and progress.partitions_done == progress.partitions
    return f"{'Writing' if done else 'Reading'}: {', '.join(parts)}, {seconds:.0f} s"


@contextmanager
def watch(progress: Progress) -> Iterator[None]:
    """Shows progress until the block ends: in place on a terminal, as plain lines elsewhere."""
    console = Console(stderr=True, soft_wrap=True)
    began, stop = time.monotonic(), threading.Event()

    def now() -> str:
        return line(progress, time.monotonic() - began)

    def in_place() -> None:
        with Live(Text(now()), console=console, transient=True, auto_refresh=False) as live:
            while not stop.wait(0.2):
                live.update(Text(now()), refresh=True)

    def in_lines() -> None:
        while not stop.wait(PLAIN_INTERVAL):
            console.print(now(), highlight=False)

    thread = threading.Thread(target=in_place if console.is_terminal else in_lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def report(summary: Summary) -> None:
    """The summary of a load."""
    jobs = summary.new + summary.changed + summary.unchanged
    say(
        f"Read {jobs:,} jobs in {summary.requests:,} requests and {summary.seconds:.1f} s: "
        f"{summary.new:,} new, {summary.changed:,} changed, {summary.unchanged:,} as before."
    )
    if summary.states:
        say("By state: " + ", ".join(f"{state} {count:,}" for state, count in summary.states.most_common()) + ".")
    if summary.retries:
        say(f"{summary.retries:,} requests had to be repeated.")
    for text in summary.incomplete[:10]:
        say(f"Not proved complete: {text}.")
    if len(summary.incomplete) > 10:
        say(f"... and {len(summary.incomplete) - 10} more; they are in load_audit.")
    if summary.incomplete:
        say("What was found is loaded; the next load reads these partitions again from the same place.")
    say(f"Warehouse: {summary.warehouse}, dataset {summary.dataset}, tenant {summary.tenant}.")
