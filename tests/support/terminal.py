"""Run a process in a pseudo-terminal."""

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
"""Seconds after which a test fails if the terminal does not show the expected text."""

COMMANDS = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
"""Escape sequences for positions and colours that a process sends to its terminal."""


CTRL_C, CTRL_D, UP, TAB = "\x03", "\x04", "\x1b[A", "\t"


class Terminal:
    """Control a process that runs in a pseudo-terminal."""

    def __init__(self, user: Cli, *arguments: str) -> None:
        pty = pytest.importorskip("pty", reason="only POSIX has terminals that a test can hold")
        self._here, there = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "m365_jobs", *arguments],
            cwd=user.folder,
            # This terminal does not answer requests for the position of the cursor.
            env={**user.environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
            # Children of a shell in the background ignore Ctrl+C, so this process resets it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(there)
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def ask(self, text: str) -> None:
        """Wait for the prompt, then type a text."""
        self.until("m365-jobs>")
        self.type(text)

    def leave(self, text: str = CTRL_D) -> None:
        self.ask(text)
        assert self.process.wait(PATIENCE) == 0

    def until(self, awaited: str) -> str:
        """Wait for a text, and return the output before it since the last wait."""
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
