"""Parse the values of one field into an Arrow array: together if all have a documented form, else one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.parse.frame import COUNT, FLAG, REAL, TEXT, TIME
from avepoint_m365.parse.values import InvalidValueError, parse_count, parse_flag, parse_hours, parse_text, parse_time

Values: TypeAlias = list[object] | pa.Array
"""The values of one field of many objects."""

Report = Callable[[int, object], None]
"""Receives the index and the value of each value that cannot be parsed."""


class FieldParser:
    """Hold the type of a field and its two parsers.

    Arrow converts a whole array of documented forms: 100,000 jobs need 1 s instead of 4 s. If that fails, each value
    is parsed by itself; an invalid one becomes null and is reported.
    """

    def __init__(
        self, kind: pa.DataType, parse: Callable[[object], object], whole: Callable[[Values], pa.Array]
    ) -> None:
        self._type, self._parse, self._whole = kind, parse, whole

    def read(self, values: Values, report: Report) -> pa.Array:
        """Return the values as an array of the field's type."""
        try:
            return self._whole(values)
        except (pa.ArrowException, ValueError, OverflowError):
            values = values.to_pylist() if isinstance(values, pa.Array) else values
            return pa.array((self._parsed(value, index, report) for index, value in enumerate(values)), self._type)

    def _parsed(self, value: object, index: int, report: Report) -> object:
        try:
            return self._parse(value)
        except ValueError:
            report(index, value)
            return None


def _array(values: Values, kind: pa.DataType | None = None) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _whole_times(values: Values) -> pa.Array:
    times = _array(values, TEXT).cast(TIME)
    # Year 1 means no time. ``as_py`` raises an error for years that Python does not have. Arrow's own ``year`` searches
    # for time zones.
    first = pc.min_max(times).as_py()["min"]
    if first is not None and first.year < 2:
        raise InvalidValueError
    return times


def _whole_counts(values: Values) -> pa.Array:
    # With a type, Arrow would truncate 1.5 to 1. Without one, it infers a type with fractions, which is refused here.
    counts = _array(values)
    if counts.type not in (COUNT, pa.null()):
        raise InvalidValueError
    return counts.cast(COUNT)


def _whole_hours(values: Values) -> pa.Array:
    hours = _array(values, TEXT).cast(REAL)
    if not pc.all(pc.is_finite(hours)).as_py():
        raise InvalidValueError
    return hours


def _whole_texts(values: Values) -> pa.Array:
    texts = _array(values, TEXT)
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        raise InvalidValueError
    return texts


TIMES = FieldParser(TIME, parse_time, _whole_times)
COUNTS = FieldParser(COUNT, parse_count, _whole_counts)
HOURS = FieldParser(REAL, parse_hours, _whole_hours)
TEXTS = FieldParser(TEXT, parse_text, _whole_texts)
FLAGS = FieldParser(FLAG, parse_flag, lambda values: _array(values, FLAG))
