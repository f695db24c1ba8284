"""Write to stderr. It imports no other module: a signal may interrupt the import of any."""

import os
import sys
from typing import TextIO


def write_stderr(text: str) -> None:
    """Write a text to stderr, or drop it and all later ones if stderr can no longer be written.

    A reader that ended, a closed terminal or a full disk must not end a load.
    """
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)
        # What is still in the buffer goes there as well.
        sys.stderr.flush()


def discard(stream: TextIO) -> None:
    """Drop what is written to a standard stream from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
