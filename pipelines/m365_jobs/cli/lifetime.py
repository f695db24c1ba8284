"""Prepare the process of the command line: memory, streams that accept any text, and signals that end it cleanly."""

from __future__ import annotations

import gc
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType

from m365_jobs.errors.exceptions import HUNG_UP, INTERRUPTED, TERMINATED
from m365_jobs.stderr import discard

EXIT_CODES_OF_SIGNALS = {"SIGTERM": TERMINATED, "SIGHUP": HUNG_UP}
"""Signals that end the process as Ctrl+C does. Windows lacks SIGHUP."""

_signal_name: str | None = None


def prepare_streams() -> None:
    """Let output replace characters that the terminal's encoding lacks, such as a code page of Windows.

    Standard streams that are closed drop what is written: Python has None for them, and the next file that is opened
    would get their number.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def prepare_memory() -> None:
    """Run the garbage collector rarely.

    A page of jobs is thousands of short-lived objects without cycles. Searching them for cycles needs 0.3 s for
    100,000 jobs, beside 0.2 s of work.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def prepare_signals() -> None:
    """Let SIGTERM and SIGHUP end the process as Ctrl+C does: the run is recorded, and a message printed.

    Docker, Kubernetes and systemd send the first, a terminal that closes the second. Without a handler, the first
    process of a container ignores SIGTERM. A signal that the caller lets the process ignore, as nohup does, stays so.
    """
    for name in EXIT_CODES_OF_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    global _signal_name
    _signal_name = signal.Signals(number).name
    interrupt = signal.getsignal(signal.SIGINT)
    if callable(interrupt):
        interrupt(number, frame)
    raise KeyboardInterrupt


def interruption(message: str) -> tuple[str, int]:
    """Return the message and the exit code of an interrupted process: by Ctrl+C or by a signal."""
    if _signal_name:
        exit_code = EXIT_CODES_OF_SIGNALS[_signal_name]
        return message.replace("Interrupted", f"Terminated ({_signal_name})", 1), exit_code
    return message, INTERRUPTED


def close_stdout() -> None:
    """Drop further output after its reader, such as ``head``, has ended."""
    discard(sys.stdout)
