"""A process that believes to be at a terminal."""

import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.support.cli import Cli

PATIENCE = 60
"""Seconds until a terminal that does not show what it should has failed."""

COMMANDS = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
"""How a process tells its terminal where and in which colour to write."""


CTRL_C, CTRL_D, UP, TAB = "\x03", "\x04", "\x1b[A", "\t"


class Terminal:
    """A process that believes to be at a terminal."""

    def __init__(self, user: Cli, *arguments: str) -> None:
        pty = pytest.importorskip("pty", reason="only POSIX has terminals that a test can hold")
        self._here, there = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "m365_jobs", *arguments],
            cwd=user.folder,
            # Nobody here answers where the cursor is.
            env={**user.environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
            # What runs in the background of a shell hands down that it ignores Ctrl+C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(there)
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def ask(self, text: str) -> None:
        """Waits for the prompt, then types."""
        self.until("m365-jobs>")
        self.type(text)

    def leave(self, text: str = CTRL_D) -> None:
        self.ask(text)
        assert self.process.wait(PATIENCE) == 0

    def until(self, awaited: str) -> str:
        """Waits for a text; what was shown up to it since the last one."""
        until = time.monotonic() + PATIENCE
        while awaited not in (shown := COMMANDS.sub("", self._shown)):
            ready, _, _ = select.select([self._here], [], [], max(0, until - time.monotonic()))
            assert ready, f"{awaited!r} is not there, but:\n{shown}"
            self._shown += os.read(self._here, 65536).decode(errors="replace")
        before, _, self._shown = shown.partition(awaited)
        return before

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._here)
