"""Run the command line in this process as if it were a new one, which saves about a second for each command."""

from __future__ import annotations

import gc
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext
from m365_jobs.cli.app import main

OUTSIDE = ("DLT_CONFIG_FOLDER", "PYTHONPATH", "M365_JOBS_KILL_AT", "DLT_ALLOW_EXTERNAL_SCHEDULERS")
"""Variables that Python or dlt read only when they start. A command with such a variable needs its own process."""


def possible(environment: Mapping[str, str]) -> bool:
    """Return True if a command with this environment can run in this process."""
    return threading.current_thread() is threading.main_thread() and not any(name in environment for name in OUTSIDE)


def run(folder: Path, environment: Mapping[str, str], arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run ``m365-jobs`` with these arguments and return its exit code and output."""
    out, err, thresholds = _stream(), _stream(), gc.get_threshold()
    with _place(folder, environment), _streams(arguments, out, err), _fresh_dlt(), patch.object(gc, "freeze"):
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code
        finally:
            gc.set_threshold(*thresholds)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(list(arguments), code if isinstance(code, int) else 1 if code else 0, *texts)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True, newline="\n")


@contextmanager
def _place(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    before, here = dict(os.environ), Path.cwd()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _streams(arguments: Sequence[str], out: io.TextIOWrapper, err: io.TextIOWrapper) -> Iterator[None]:
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr
    with Path(os.devnull).open() as nothing:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = ["m365-jobs", *arguments], nothing, out, err
        try:
            yield
        finally:
            sys.argv, sys.stdin, sys.stdout, sys.stderr = before


@contextmanager
def _fresh_dlt() -> Iterator[None]:
    """Let dlt read its configuration from the folder and environment of the command, and forget it afterwards."""
    context = PluggableRunContext()
    active = Container()[PipelineContext]
    active.deactivate()
    _forget_loggers()
    try:
        with Container().injectable_context(context):
            yield
    finally:
        active.deactivate()
        _forget_loggers()
        # An open connection to a DuckDB file blocks connections with other settings, so unused ones are collected.
        gc.collect()
        # What survives outlives the command; later collections would visit it after each command.
        gc.freeze()


def _forget_loggers() -> None:
    """Remove handlers that write to the standard error of another command."""
    for name in ("dlt", "m365_jobs", "avepoint_m365"):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
