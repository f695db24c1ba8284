"""Where the project lies."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def _project() -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return declared


def dependencies() -> list[str]:
    """Return what the core of pyproject.toml installs."""
    return list(_project()["dependencies"])


def extras() -> dict[str, list[str]]:
    """Return the extras of pyproject.toml and what they install."""
    return dict(_project()["optional-dependencies"])
