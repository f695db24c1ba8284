"""Measure the memory of a command."""

import subprocess
import sys

from tests.support.cli import Cli

MEASURE = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "m365_jobs", *sys.argv[2:]])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""Linux counts the memory of the parent before ``exec`` as the child's. A test has the memory of its server as well, so
a small process starts the command."""


def peak_megabytes(user: Cli, *arguments: str) -> tuple[int, str, float]:
    """Run a command in its own process; return its exit code, its output, and its peak memory."""
    peak = user.folder / "peak.txt"
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(peak), *arguments],
        cwd=user.folder,
        env=user.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    # The unit is kilobytes, but bytes on macOS.
    scale = 1_000_000 if sys.platform == "darwin" else 1_000
    return done.returncode, done.stdout, int(peak.read_text()) / scale
