"""Format numbers with their nouns."""

from __future__ import annotations


def format_count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 job, 2,000 jobs, 2 jobs are (``format_count(2, "job is", "jobs are")``)."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
