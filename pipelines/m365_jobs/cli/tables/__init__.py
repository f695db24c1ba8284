"""Draw results for the terminal, with a module for each command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Print tables and lines of text to the standard output, in their order."""
    from rich.console import Console

    console = Console()
    for part in parts:
        console.print(part)
