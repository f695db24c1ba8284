"""Parse values of the companion endpoints, in each form that the vendor's tables and samples show."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta

from avepoint_m365.parse.values import parse_time
from avepoint_m365.text import storable

MILLISECONDS_FROM = 100_000_000_000
"""Epoch numbers from here on are milliseconds: as seconds they would lie beyond the year 5138."""

TICKS_FROM = 100_000_000_000_000_000
"""Numbers from here on are .NET ticks: tenths of microseconds since the year 1."""

TICKS_AT_EPOCH = 621_355_968_000_000_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DAYS_OF_UNIT = {"day": 1.0, "week": 7.0, "month": 365 / 12, "year": 365.0}

LONGEST_PERIOD = 100
"""The most characters of a period; the search for units in a long text of digits is quadratic."""

MAX_DAYS = 1_000_000
"""The most days of a period; a date plus more days would lie after the year 9999."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
"""A number with commas between its thousands: 1,5 has a decimal comma, and is not 15."""
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d+)?)?\s*([AP])?\.?M?\.?", re.IGNORECASE)
_PERIOD = re.compile(r"(\d+(?:\.\d+)?)\s*(day|week|month|year)s?", re.IGNORECASE)
_UNLIMITED = re.compile(r"\s*(unlimited|forever|indefinite(ly)?|never( expires?)?)\s*", re.IGNORECASE)


def to_text(value: object) -> str | None:
    """Return any value as a text that a warehouse can store; None for null and ""."""
    return None if value is None or value == "" else storable(str(value))


def parse_number(value: object) -> float | None:
    """Return a number, also from a text with thousands separators.

    Raises:
        ValueError: for anything else; booleans are not numbers, nor is what only infinity stands for.
    """
    if value is None or value == "":
        return None
    text = value.strip() if isinstance(value, str) else ""
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if _NUMBER.fullmatch(text):
        value = float(text)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
        raise ValueError("not a number")
    return float(value)


def parse_whole(value: object) -> int | None:
    """Return a whole number, also from a text.

    Raises:
        ValueError: for anything else, for a fraction, and beyond 64 bits.
    """
    number: float | None = value if isinstance(value, int) and not isinstance(value, bool) else parse_number(value)
    if number is None:
        return None
    if not -(2**63) <= number < 2**63 or int(number) != number:
        raise ValueError("not a whole number")
    return int(number)


def parse_any_time(value: object) -> datetime | None:
    """Return a time in UTC from ISO 8601, epoch seconds, epoch milliseconds or .NET ticks; None for null and "".

    0 and negative numbers are None as well: .NET's ``DateTime.MinValue`` lies 62,135,596,800 seconds before the epoch.

    The vendor does not document the unit of its numbers, so their size determines it.

    Raises:
        ValueError: for anything else.
    """
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else value
    if isinstance(text, str) and _NUMBER.fullmatch(text):
        return _of_epoch(float(text) if "." in text else int(text))
    return parse_time(text)


def _of_epoch(number: float) -> datetime | None:
    if number <= 0:
        return None
    try:
        if number >= TICKS_FROM:
            seconds = (number - TICKS_AT_EPOCH) / 10_000_000
        else:
            seconds = number / 1000 if number >= MILLISECONDS_FROM else number
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError("not a time") from error


def parse_minute_of_day(value: object) -> int:
    """Return the minute of the UTC day of a start time: a time stamp in any form, or a text such as ``9:00 AM``.

    The vendor gives start times as time stamps of the current day. Only the time of day is the setting: a date would
    make every day look like a change.

    Raises:
        ValueError: where the value is neither.
    """
    clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if clock is None and isinstance(value, str) and re.match(r"\d{1,2}/\d{1,2}/\d{4}\s", value):
        # The American form of a date, before a time of day.
        clock = _CLOCK.fullmatch(value.split(maxsplit=1)[1].strip())
    if clock is None:
        moment = parse_any_time(value)
        if moment is None:
            raise ValueError("not a time of day")
        return moment.hour * 60 + moment.minute
    hour, minute, half = int(clock[1]), int(clock[2]), (clock[3] or "").upper()
    if half:
        hour = hour % 12 + (12 if half == "P" else 0)
    if hour > 23 or minute > 59:
        raise ValueError("not a time of day")
    return hour * 60 + minute


def parse_period(value: object) -> int | None:
    """Return the days of a retention period such as ``1 years``; None for Unlimited. A month is a twelfth of a year.

    Raises:
        ValueError: where the text is no period.
    """
    text = str(value).strip()
    if len(text) > LONGEST_PERIOD:
        raise ValueError("not a period")
    if _UNLIMITED.fullmatch(text):
        return None
    if text.isdecimal():
        text += " days"
    parts = list(_PERIOD.finditer(text))
    if not parts or _PERIOD.sub("", text).strip(" ,and"):
        raise ValueError("not a period")
    days = sum(float(part[1]) * DAYS_OF_UNIT[part[2].lower()] for part in parts)
    if days > MAX_DAYS:
        raise ValueError("not a period")
    return round(days)
