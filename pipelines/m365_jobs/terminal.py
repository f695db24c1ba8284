"""Print lines for people on stderr, without the libraries that only a drawing needs."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import TextIO, TypeAlias

from m365_jobs.stderr import write_stderr
from m365_jobs.text import sanitize

Notify: TypeAlias = Callable[[str], None]
"""Receives a line for the user."""


def print_line(text: str) -> None:
    """Print one line to stderr, or several as they are; on a terminal, long ones wrap at words."""
    columns = width(sys.stderr)
    for line in map(sanitize, text.split("\n")):
        if columns:
            # An address or a command stays whole: it is there to be copied.
            line = textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False, drop_whitespace=True)
        write_stderr(f"{line}\n")


def width(out: TextIO) -> int | None:
    """Return the columns of a terminal; None for anything else."""
    return shutil.get_terminal_size().columns if out.isatty() else None
