"""Prepare the process of the command line: memory, streams that accept any text, and signals that end it cleanly."""

from __future__ import annotations

import gc
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType

from m365_jobs.errors.exceptions import INTERRUPTED, TERMINATED

_terminated = False


def prepare_streams() -> None:
    """Replace what the encoding of the terminal lacks, as code pages of Windows do, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def prepare_memory() -> None:
    """Collect garbage rarely.

    A page of jobs is thousands of short-lived objects without cycles. Looking for cycles among them doubles the time:
    0.5 s instead of 0.2 s for 100,000 jobs.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def prepare_signals() -> None:
    """Make SIGTERM end the process as Ctrl+C does, with its rows recorded and a message.

    Docker, Kubernetes and systemd send it. The first process of a container would ignore it.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    global _terminated
    _terminated = True
    interrupt = signal.getsignal(signal.SIGINT)
    if callable(interrupt):
        interrupt(number, frame)
    raise KeyboardInterrupt


def interruption(message: str) -> tuple[str, int]:
    """Return the words and the exit code for a process that was interrupted."""
    if _terminated:
        return message.replace("Interrupted", "Terminated (SIGTERM)", 1), TERMINATED
    return message, INTERRUPTED


def close_stdout() -> None:
    """Leave off output that its reader no longer wants, such as ``head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
