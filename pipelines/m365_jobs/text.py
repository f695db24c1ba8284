"""Texts that nobody here wrote, on the terminal of whoever reads them."""

from __future__ import annotations


def harmless(text: str) -> str:
    """A text in one line, with a space for each sign that a terminal would take for a command."""
    return "".join(one if one.isprintable() else " " for one in text)
