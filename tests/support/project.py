"""Provide the folder of the project, and its dependencies."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def _project() -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return declared


def dependencies() -> list[str]:
    """Return the dependencies of the core in pyproject.toml."""
    return list(_project()["dependencies"])


def extras() -> dict[str, list[str]]:
    """Return the dependencies of each extra in pyproject.toml."""
    return dict(_project()["optional-dependencies"])
