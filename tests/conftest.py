"""Set up all tests: profiles of Hypothesis, the order of files, markers of slow tests, and garbage collection."""

import gc
import os
from collections import Counter

import pytest
from hypothesis import settings

from tests.support.cli import new_user, simulator, tenant
from tests.support.configuration import configuration_of

__all__ = ["configuration_of", "new_user", "simulator", "tenant"]

settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.register_profile("mutants", deadline=None, derandomize=True, max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
"""The suite tries the same examples each time: CI must not fail by chance. HYPOTHESIS_PROFILE=search tries others."""

LONGEST = (
    "test_fault_matrix.py",
    "test_server_cases.py",
    "test_histories.py",
    "test_crashes.py",
    "test_crashes_elsewhere.py",
    "test_workers.py",
)
"""Files that last minutes. If one started last, it would run alone while the other processor is idle."""


LAKES = {"filesystem", "iceberg"}
"""Parameters of tests that run on several destinations. On a lake, a load lasts four times as long as on DuckDB."""

OTHERS = {*LAKES, "delta", "postgres"}
"""Parameters that name a destination other than DuckDB."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first; all others stay in order. Mark what ``make test`` leaves out."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    cases: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        cases[test] += 1
        usual, parameters = item.get_closest_marker("usual"), _parameters(item)
        if (usual and cases[test] > usual.args[0]) or parameters & LAKES:
            item.add_marker(pytest.mark.variant)
        if parameters & OTHERS:
            item.add_marker(pytest.mark.destinations)


def _parameters(item: pytest.Item) -> set[str]:
    """Return the texts among the parameters of a test."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return set()
    return {value for value in item.callspec.params.values() if isinstance(value, str)}


def pytest_collection_finish() -> None:
    """Exclude imported objects from garbage collection. Else it visits a million objects after each command."""
    gc.collect()
    gc.freeze()
