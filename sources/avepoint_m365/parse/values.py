"""Parse the value of one field, in each form that the API may send."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime

from avepoint_m365.parse.times import in_utc
from avepoint_m365.text import storable

_FRACTION = re.compile(r"\.(\d+)")
_DATE_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE_AND_TIME = re.compile(r"\d{4}-?\d{2}-?\d{2}[Tt ]\d.*", re.ASCII)
"""A date and a time of ISO 8601. Python accepts any character between both, such as the ninth digit of an epoch."""
_INT64 = 2**63


class InvalidValueError(ValueError):
    """Report a value in an unknown form."""


def parse_time(value: object) -> datetime | None:
    """Return a time of the API in UTC; None for null, "" and dates in year 1 (.NET's ``DateTime.MinValue``).

    The documented form is ``2024-12-02T07:52:25Z``. Offsets and a date alone (midnight UTC) are read as well. A time
    without a zone is UTC, as the vendor documents. .NET's seven decimals are truncated to microseconds.

    Raises:
        ValueError: for anything else.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidValueError("not a time")
    text = value.strip()
    if not text or text.startswith("0001-"):
        return None
    text = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text, count=1)
    try:
        if _DATE_ONLY.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if not _DATE_AND_TIME.fullmatch(text):
            raise InvalidValueError("not a time")
        return in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise InvalidValueError("not a time") from error


def parse_count(value: object) -> int | None:
    """Return a whole number of 64 bits, also from a text or a float without a fraction; None for null and "".

    Raises:
        ValueError: for anything else; booleans are not numbers.
    """
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,20}\s*", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise InvalidValueError("not a whole number")
    return value


def parse_hours(value: object) -> float | None:
    """Return a duration in hours, documented as a text such as ``"0.011"``; None for null and "".

    Raises:
        ValueError: for anything but a finite number.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidValueError("not a number of hours")
    try:
        hours = float(value.replace("_", "?")) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError) as error:
        raise InvalidValueError("not a number of hours") from error
    if not math.isfinite(hours):
        raise InvalidValueError("not a number of hours")
    return hours


def parse_flag(value: object) -> bool | None:
    """Return a boolean, also from the words true and false in any case; None for null and "".

    Raises:
        ValueError: for anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise InvalidValueError("not true or false")


def parse_text(value: object) -> str | None:
    """Return a text, also from a number, since some APIs of the vendor send ids as numbers; None for null.

    Characters that no warehouse can store become U+FFFD.

    Raises:
        ValueError: for lists, objects and booleans.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValueError("not a text")
    return str(value)
