"""Exclude these tests in an environment without Dagster; ``make test-dagster`` runs them."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("dagster") else ["test_*.py"]
