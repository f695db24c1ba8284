"""Where the project lies."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def extras() -> dict[str, list[str]]:
    """Return the extras of pyproject.toml and what they install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared: dict[str, list[str]] = project["optional-dependencies"]
    return declared
