"""Test that fields in a documented form are parsed as whole columns, and others value by value."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from avepoint_m365.parse import columns
from avepoint_m365.parse.columns import FieldParser
from avepoint_m365.parse.frame import COUNT, FLAG, REAL, TEXT, TIME

DOCUMENTED: dict[str, tuple[FieldParser, pa.DataType, list[Any], list[Any]]] = {
    "times": (
        columns.TIMES,
        TIME,
        ["2026-01-31T06:00:00Z", None, "0002-01-01T00:00:00Z"],
        [datetime(2026, 1, 31, 6, tzinfo=UTC), None, datetime(2, 1, 1, tzinfo=UTC)],
    ),
    "no times": (columns.TIMES, TIME, [None, None], [None, None]),
    "counts": (columns.COUNTS, COUNT, [7, None, 0, -1], [7, None, 0, -1]),
    "no counts": (columns.COUNTS, COUNT, [None, None], [None, None]),
    "hours": (columns.HOURS, REAL, ["1.50", None, "0"], [1.5, None, 0.0]),
    "texts": (columns.TEXTS, TEXT, ["a", None, ""], ["a", None, ""]),
    "flags": (columns.FLAGS, FLAG, [True, None, False], [True, None, False]),
}
"""Parser, type, values in documented forms, and what they mean."""

OTHERS: dict[str, tuple[FieldParser, pa.DataType, list[Any], list[Any], list[tuple[int, Any]]]] = {
    "year 1": (columns.TIMES, TIME, ["0001-12-31T00:00:00Z"], [None], []),
    "no time at all": (columns.TIMES, TIME, ["soon", "later"], [None, None], [(0, "soon"), (1, "later")]),
    "a fraction": (columns.COUNTS, COUNT, [1, 1.5], [1, None], [(1, 1.5)]),
    "a number as text": (columns.COUNTS, COUNT, [1, "2"], [1, 2], []),
    "infinity": (columns.HOURS, REAL, ["1.5", "inf"], [1.5, None], [(1, "inf")]),
    "not a number": (columns.HOURS, REAL, ["nan", "1.5"], [None, 1.5], [(0, "nan")]),
    "NUL": (columns.TEXTS, TEXT, ["a", "b\0c"], ["a", "b\N{REPLACEMENT CHARACTER}c"], []),
    "a number for a text": (columns.TEXTS, TEXT, ["a", 7], ["a", "7"], []),
    "a word for a flag": (columns.FLAGS, FLAG, [True, "False"], [True, False], []),
}
"""Parser, type, values with one in another form, what they mean, and what is reported."""


def fail(*values: object) -> None:
    raise AssertionError(f"must not be parsed by itself, or reported: {values}")


@pytest.mark.parametrize("kind", DOCUMENTED)
@pytest.mark.parametrize("form", [list, pa.array])
def test_values_in_documented_forms_are_parsed_together(monkeypatch: pytest.MonkeyPatch, kind: str, form: Any) -> None:
    parser, data_type, values, meaning = DOCUMENTED[kind]
    monkeypatch.setattr(parser, "_parse", fail)
    assert parser.read(form(values), fail).equals(pa.array(meaning, data_type))


@pytest.mark.parametrize("kind", OTHERS)
def test_values_in_other_forms_are_parsed_one_by_one(kind: str) -> None:
    parser, data_type, values, meaning, invalid = OTHERS[kind]
    reported: list[tuple[int, object]] = []
    result = parser.read(values, lambda index, value: reported.append((index, value)))
    assert result.equals(pa.array(meaning, data_type))
    assert reported == invalid
