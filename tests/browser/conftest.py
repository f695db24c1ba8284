"""A dashboard in a process of its own, and a window to look at it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from avepoint_simulator import Simulator, World, make_world

from tests.browser.browser import LAPTOP, Browser, browser
from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import NOW, Cli, sit

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
    with ExitStack() as stack:
        yield lambda user, *arguments: stack.enter_context(dashboard(user, *arguments))


@contextmanager
def dashboard(user: Cli, *arguments: str) -> Iterator[str]:
    """``m365-jobs dashboard`` in a process of its own; its address."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "m365_jobs",
            "dashboard",
            *(() if "--port" in arguments else ("--port", "0")),
            *arguments,
        ],
        cwd=user.folder,
        env=user.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("Dashboard: http://"), line + process.stderr.read()
        yield line.removeprefix("Dashboard: ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=30)


@dataclass
class Shown:
    """A loaded warehouse and the dashboard of it, in a window."""

    user: Cli
    world: World
    address: str
    browser: Browser


@dataclass
class Provider:
    """A warehouse of several tenants, each with two locations, and the dashboard of it, in a window."""

    user: Cli
    worlds: dict[str, World]
    address: str
    browser: Browser


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """For tests that only look."""
    place, locations = tmp_path_factory.mktemp("provider"), ("NAM", "EUR")
    worlds = {
        name: make_world(300, seed=seed, now=NOW, locations=locations)
        for seed, name in enumerate(("contoso", "fabrikam"), 5)
    }
    with ExitStack() as stack:
        text = ""
        for name, world in worlds.items():
            world.advance(timedelta(hours=9))
            text += section(name, stack.enter_context(Simulator(world)), locations='["NAM", "EUR"]')
        user = sit(place, stack.enter_context(Simulator(make_world(1, now=NOW))))
        configure(user, text)
        user.run("load", "--all-tenants")
    with dashboard(user) as address, browser(place / "window") as window:
        yield Provider(user, worlds, address, window)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """For tests that only look."""
    place, world = tmp_path_factory.mktemp("shown"), make_world(300, seed=7, now=NOW)
    world.advance(timedelta(hours=9))
    with Simulator(world) as simulator:
        user = sit(place, simulator)
        user.run("load")
    with dashboard(user) as address, browser(place / "window") as window:
        yield Shown(user, world, address, window)
