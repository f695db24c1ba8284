"""For all tests: how long an example takes says nothing about it, and the longest go first."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.cli import desk, simulator, tenant

__all__ = ["desk", "simulator", "tenant"]

settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
"""The suite tries the same examples each time: CI must not fail by chance. HYPOTHESIS_PROFILE=search tries others."""

LONGEST = ("test_server_variations.py", "test_histories.py", "test_crashes.py", "test_workers.py")
"""Each takes minutes. Begun last, one of them would go on alone while the other processor has nothing left to do."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the longest tests first; all else stays in its order."""
    leave_out(config, items)
    items.sort(key=lambda item: item.path.name not in LONGEST)


NOT_GREEN = Path(__file__).with_name("not_green.txt")
"""Tests that fail or were not seen to pass, an id or file a line with the reason; M365_TEST_ALL=1 runs them too."""


def _left_out() -> list[str]:
    lines = NOT_GREEN.read_text(encoding="utf-8").splitlines() if NOT_GREEN.exists() else []
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Say how many tests are left out."""
    if count := getattr(session.config, "left_out", 0):
        print(f"\n{count} tests are left out: see {NOT_GREEN.name}. M365_TEST_ALL=1 runs them.")


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of ``NOT_GREEN``."""
    names = [] if os.environ.get("M365_TEST_ALL") else _left_out()
    out = [item for item in items if any(item.nodeid == name or item.nodeid.split("::")[0] == name for name in names)]
    if out:
        items[:] = [item for item in items if item not in set(out)]
        config.hook.pytest_deselected(items=out)
        config.left_out = len(out)  # type: ignore[attr-defined]
