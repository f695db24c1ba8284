"""Write results of queries as a table for people, or as CSV or JSON for programs, as rows arrive."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, islice
from typing import Any, TextIO

from rich.cells import cell_len

from m365_jobs.text import COMMANDS, sanitize, spreadsheet_text
from m365_jobs.warehouse.query import QueryResult

SHOWN = 1_000
"""The most rows of a table; the width of its columns depends on all rows, so they are held in memory."""

NATIVE_TYPES = frozenset({str, int, type(None)})
"""Types of CSV and JSON that need no conversion; most values have one of them."""


def write_csv(answer: QueryResult, out: TextIO) -> None:
    """Write a line of names, then one for each row (RFC 4180, lines end in a line feed).

    Null is an empty field, times are ISO 8601, true and false are words, lists and structures are JSON. A text that a
    spreadsheet would interpret as a formula gets an apostrophe before it. Characters that change the direction of text
    or control a terminal become marks such as [U+202E]. In JSON, texts are unchanged.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(spreadsheet_text, answer.columns))
    for rows in answer.batches:
        writer.writerows([_csv(value) for value in row] for row in rows)


def _csv(value: Any) -> Any:
    if type(value) is str:
        return spreadsheet_text(value)
    if type(value) in NATIVE_TYPES:
        return value
    value = _plain(value)
    if isinstance(value, bool | list | dict):
        return _json(value)
    return value


def _json(value: Any) -> str:
    """Return a value as JSON with readable letters, and with escapes for characters that control a terminal."""
    return COMMANDS.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def write_json(answer: QueryResult, out: TextIO) -> None:
    """Write a list with an object for each row, one to a line. Times are ISO 8601."""
    names = _unique(answer.columns)
    out.write("[")
    separator = "\n"
    for row in chain.from_iterable(answer.batches):
        fields = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        out.write(separator + _json(fields))
        separator = ",\n"
    out.write("\n]\n")


def write_table(answer: QueryResult, out: TextIO, width: int | None) -> bool:
    """Write columns side by side if ``width`` allows, else each row as a list of its values.

    ``width`` is in characters; None means any. It ends after ``SHOWN`` rows and returns whether more were left.
    """
    batches = chain.from_iterable(answer.batches)
    rows = list(islice(batches, SHOWN))
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(answer.columns, *texts, strict=True)]
    if width is None or sum(widths) + 2 * (len(widths) - 1) <= width:
        right = [any(isinstance(row[index], int | float | Decimal) for row in rows) for index in range(len(widths))]
        lines = _columns(answer.columns, texts, widths, right)
    else:
        lines = _records(answer.columns, texts)
    out.writelines(f"{line.rstrip()}\n" for line in lines)
    return next(batches, None) is not None


def _columns(names: Sequence[str], rows: list[list[str]], widths: list[int], right: list[bool]) -> Iterator[str]:
    def line(texts: Sequence[str]) -> str:
        cells = zip(texts, widths, right, strict=True)
        return "  ".join(
            " " * (width - cell_len(text)) + text if on_the_right else text + " " * (width - cell_len(text))
            for text, width, on_the_right in cells
        )

    yield line(names)
    yield "  ".join("-" * width for width in widths)
    yield from map(line, rows)


def _records(names: Sequence[str], rows: list[list[str]]) -> Iterator[str]:
    width = max(map(cell_len, names))
    for number, row in enumerate(rows, 1):
        yield f"-- row {number} --"
        for name, text in zip(names, row, strict=True):
            yield f"{name}{' ' * (width - cell_len(name))}  {text}"


def _text(value: Any) -> str:
    """Return a value in one line, fractions to six digits, without characters that control a terminal."""
    value = _plain(value) if isinstance(value, Decimal) else value
    if isinstance(value, float) and abs(value) < 1e6:
        return format(value, ".6g")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    value = _plain(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return sanitize(text)


def _plain(value: Any) -> Any:
    """Return a value with a type of JSON."""
    if type(value) in NATIVE_TYPES:
        return value
    if isinstance(value, Decimal):
        if value.is_finite() and value == value.to_integral_value():
            return int(value)
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if isinstance(value, bool) else str(value)


def _unique(names: Sequence[str]) -> list[str]:
    """Return unique names for the fields of an object: a second ``id`` becomes ``id_2``."""
    unique: list[str] = []
    for name in names:
        number, free = 1, name
        while free in unique:
            number += 1
            free = f"{name}_{number}"
        unique.append(free)
    return unique
