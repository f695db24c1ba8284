"""For all tests: how long an example takes says nothing about it, and the longest go first."""

import pytest
from hypothesis import settings

from tests.support.cli import desk, simulator, tenant

__all__ = ["desk", "simulator", "tenant"]

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

LONGEST = ("test_histories.py", "test_crashes.py", "test_workers.py")
"""Each takes minutes. Begun last, one of them would go on alone while the other processor has nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first; all else stays in its order."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
