"""Send a signal to a load while it waits for the API, and to a query while it runs."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from avepoint_simulator import Asked, Simulator

from tests.support.cli import Cli


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


hear_interrupts = None if os.name == "nt" else _hear_interrupts
"""Makes a child process react to Ctrl+C, which children of a shell in the background ignore."""


def start_command(user: Cli, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a process that SIGINT interrupts; its messages can be read, and its output is dropped."""
    return subprocess.Popen(
        [sys.executable, "-m", "m365_jobs", *arguments],
        cwd=user.folder,
        env=user.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )


def load_until_signal(
    simulator: Simulator,
    user: Cli,
    number: signal.Signals,
    *options: str,
    withheld: Callable[[Asked], bool] = lambda asked: True,
) -> tuple[int, str]:
    """Start a load, and send it the signal during a withheld request; return its exit code and its messages.

    Withheld requests get no response until the load has ended.
    """
    asked, ended = threading.Event(), threading.Event()

    def hold(request: Asked) -> None:
        if withheld(request):
            asked.set()
            ended.wait(120)

    simulator.fault = hold
    with start_command(user, "load", *options) as load:
        try:
            assert asked.wait(60)
            load.send_signal(number)
            # Less than the time after which a request counts as lost.
            _, message = load.communicate(timeout=50)
        finally:
            load.kill()
            ended.set()
    simulator.fault = None
    return load.returncode, message


BUSY = 4.0
"""Seconds of the processor after which a command no longer starts but runs its query."""


def query_until_signal(user: Cli, sql: str, number: signal.Signals) -> tuple[int, str]:
    """Start a query without an end, and send it the signal once it runs; return its exit code and its messages."""
    with start_command(user, "query", sql) as query:
        try:
            while _processor_seconds(query.pid) < BUSY:
                assert query.poll() is None
            query.send_signal(number)
            _, message = query.communicate(timeout=50)
        finally:
            query.kill()
    return query.returncode, message


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    user_ticks, system_ticks = fields[11:13]
    return (int(user_ticks) + int(system_ticks)) / os.sysconf("SC_CLK_TCK")
