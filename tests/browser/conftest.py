"""Provide fixtures: dashboards that run in their own process, and browser windows."""

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
from tests.support.cli import NOW, Cli, make_user

Look = Callable[..., Browser]
Show = Callable[..., str]


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    """Yield a function that opens a window of a given size."""
    with ExitStack() as stack:

        def open_window(size: tuple[int, int] = LAPTOP) -> Browser:
            return stack.enter_context(browser(tmp_path / f"window{size[0]}", size))

        yield open_window


@pytest.fixture
def show() -> Iterator[Show]:
    """Yield a function that starts ``m365-jobs dashboard`` for a user, and returns its address."""
    with ExitStack() as stack:
        yield lambda user, *arguments: stack.enter_context(dashboard(user, *arguments))


@contextmanager
def dashboard(user: Cli, *arguments: str) -> Iterator[str]:
    """Run ``m365-jobs dashboard`` in its own process, and yield its address."""
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
    """Hold a loaded warehouse, and a window with its dashboard."""

    user: Cli
    world: World
    address: str
    browser: Browser


@dataclass
class Provider:
    """Hold a warehouse of several tenants with two locations each, and a window with its dashboard."""

    user: Cli
    worlds: dict[str, World]
    address: str
    browser: Browser


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Create a dashboard of several tenants for tests that only read; they share it."""
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
        user = make_user(place, stack.enter_context(Simulator(make_world(1, now=NOW))))
        configure(user, text)
        user.run("load", "--all-tenants")
    with dashboard(user) as address, browser(place / "window") as window:
        yield Provider(user, worlds, address, window)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Create a dashboard for tests that only read; they share it."""
    place, world = tmp_path_factory.mktemp("shown"), make_world(300, seed=7, now=NOW)
    world.advance(timedelta(hours=9))
    with Simulator(world) as simulator:
        user = make_user(place, simulator)
        user.run("load")
    with dashboard(user) as address, browser(place / "window") as window:
        yield Shown(user, world, address, window)
