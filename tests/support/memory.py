"""Measure the memory of a command."""

import os
import subprocess
import sys

from tests.support.cli import Cli


def peak_megabytes(user: Cli, *arguments: str) -> tuple[int, str, float]:
    """Run a command in its own process; return its exit code, its output, and its peak memory."""
    message = user.folder / "said.txt"
    with message.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "m365_jobs", *arguments],
            cwd=user.folder,
            env=user.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # The unit is kilobytes, but bytes on macOS.
    scale = 1_000_000 if sys.platform == "darwin" else 1_000
    return process.returncode, message.read_text(encoding="utf-8"), usage.ru_maxrss / scale
