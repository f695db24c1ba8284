"""Run by `make test-dagster`, in the environment that has Dagster; the other one passes these tests by."""

from importlib.util import find_spec

from ..m365_jobs.conftest import desk, simulator

__all__ = ["desk", "simulator"]

collect_ignore_glob = [] if find_spec("dagster") else ["test_*.py"]
