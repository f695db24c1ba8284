"""Format texts, times and numbers for people."""

from __future__ import annotations

import re
from datetime import datetime

from avepoint_m365.text import format_count

__all__ = [
    "format_count",
    "format_duration",
    "format_percent",
    "format_time",
    "lies_ahead",
    "sanitize",
    "shorten",
    "singular_period",
    "spreadsheet_text",
    "visible",
]


def sanitize(text: str) -> str:
    """Return a text in one line, with a space for each character that a terminal would take for a command."""
    return "".join(character if character.isprintable() else " " for character in text)


COMMANDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that command a terminal, or turn the direction of the text around them."""


def visible(text: str) -> str:
    """Return a text with a mark such as [U+202E] for each character that would change what stands beside it."""
    return text if text.isprintable() else COMMANDS.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def shorten(text: str, most: int, mark: str = "...") -> str:
    """Return a text of at most ``most`` characters; ``mark`` stands for what is left out."""
    return text if len(text) <= most else f"{text[: most - len(mark)]}{mark}"


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Signs, the wide ones of East Asian keyboards among them, with which a text becomes a formula of a spreadsheet."""


def spreadsheet_text(text: str) -> str:
    """Return a text that spreadsheets show and do not calculate: with an apostrophe before the sign of a formula.

    An editor turns the rest of the line after a character that turns the direction, so these are visible as well.
    """
    return visible(f"'{text}" if text.startswith(FORMULA) else text)


def format_time(value: datetime | None) -> str:
    """Return a time to the minute, with its zone: 2026-01-31 06:00 UTC."""
    return f"{value:%Y-%m-%d %H:%M} UTC" if value else "at an unknown time"


def format_duration(hours: float) -> str:
    """Return a length of time in the unit that suits it: 7.5 h, 30 h, 12 days."""
    if hours < 100:
        return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"
    return format_count(round(hours / 24), "day")


CLOCK_ERROR_HOURS = 0.05
"""How far the clocks of two machines may differ; what lies ahead by less is now."""


def lies_ahead(hours: float) -> bool:
    """Return whether an age in hours is that of a time in the future."""
    return hours < -CLOCK_ERROR_HOURS


def format_percent(share: float, decimals: int = 0) -> str:
    """Return a share in per cent. Only 0 and 1 become 0% and 100%: rounding must not hide the last failure."""
    rounded, step = round(share, decimals + 2), 10 ** -(decimals + 2)
    if 0 < share < 1:
        rounded = min(max(rounded, step), 1 - step)
    return f"{rounded:.{decimals}%}"


def singular_period(period: str) -> str:
    """Return a period in the vendor's words, without the plural of one: ``1 years`` becomes ``1 year``."""
    return re.sub(r"\b1 (day|week|month|year)s\b", r"1 \1", period)
