"""Format texts: numbers with their nouns, and characters that warehouses can store."""

from __future__ import annotations


def format_count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 job, 2,000 jobs, 2 jobs are (``format_count(2, "job is", "jobs are")``)."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def storable(text: str) -> str:
    """Return a text with U+FFFD in place of characters that no warehouse can store.

    These are NUL and half of a surrogate pair, which .NET leaves if it cuts a text within an emoji.
    """
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
