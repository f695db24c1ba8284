"""A dashboard in a process of its own, and a window to look at it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..conftest import Desk
from .browser import LAPTOP, Browser, browser

Look = Callable[..., Browser]
Show = Callable[..., str]


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    """Opens a window of a size."""
    with ExitStack() as stack:

        def open_window(size: tuple[int, int] = LAPTOP) -> Browser:
            return stack.enter_context(browser(tmp_path / f"window{size[0]}", size))

        yield open_window


@pytest.fixture
def show() -> Iterator[Show]:
    """Starts ``m365-jobs dashboard`` at a desk; its address."""
    running: list[subprocess.Popen[str]] = []

    def start(user: Desk, *arguments: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "m365_jobs", "dashboard", "--port", "0", *arguments],
            cwd=user.folder,
            env=user.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("Dashboard: http://"), line + process.stderr.read()
        return line.removeprefix("Dashboard: ").strip()

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=30)
