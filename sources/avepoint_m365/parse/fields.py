"""Build the table of jobs from a list of values per field: the common form of both parsers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.parse.columns import COUNTS, FLAGS, HOURS, TEXTS, TIMES, FieldParser, Report, Values
from avepoint_m365.parse.frame import DETAIL_NAMES, ERROR_FIELDS, FRAME

SHOWN = 120
"""Characters of a value that are shown."""


class Unreadable(NamedTuple):
    """Describe a value that could not be parsed."""

    job_id: str
    """Empty where the id itself could not."""
    field: str
    value: str


def show(value: object) -> str:
    """Return a value as text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


@dataclass
class JobFields:
    """Hold the fields of jobs under the names of the vendor's table; each list is as long as ``ids``."""

    ids: Values
    plain: Mapping[str, Values]
    """state, startTime, finishTime, duration."""
    details: Mapping[str, Values]
    """By the warehouse's names."""
    error_counts: pa.Array
    """How many errors each job has; they follow one another in ``errors``."""
    errors: Mapping[str, Values]
    unknown: pa.Array
    detail_keys: Mapping[str, Sequence[str | None]] | None = None
    """Under which key each count stood, for messages."""

    def table(self, unreadable: list[Unreadable]) -> pa.Table:
        """Return the jobs as ``FRAME``; values that cannot be parsed are null, and are added to ``unreadable``."""
        ids = TEXTS.read(self.ids, lambda index, value: None)
        names = ids.to_pylist() if not isinstance(self.ids, list) else self.ids

        def report(field: str) -> Report:
            return lambda index, value: unreadable.append(Unreadable(str(names[index]), field, show(value)))

        def column(kind: FieldParser, field: str) -> pa.Array:
            return kind.read(self.plain[field], report(field))

        columns = [
            ids,
            column(TEXTS, "state"),
            column(TIMES, "startTime"),
            column(TIMES, "finishTime"),
            column(HOURS, "duration"),
            *(self._detail(name, names, unreadable) for name in DETAIL_NAMES),
            self._errors(names, unreadable),
            self.unknown,
        ]
        return pa.Table.from_arrays(columns, schema=FRAME)

    def _detail(self, name: str, ids: Sequence[object], unreadable: list[Unreadable]) -> pa.Array:
        def report(index: int, value: object) -> None:
            key = self.detail_keys[name][index] if self.detail_keys else name
            unreadable.append(Unreadable(str(ids[index]), f"backupDetails.{key}", show(value)))

        return COUNTS.read(self.details[name], report)

    def _errors(self, ids: Sequence[object], unreadable: list[Unreadable]) -> pa.Array:
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(self.error_counts.cast(pa.int32()))])

        def column(kind: FieldParser, field: str) -> pa.Array:
            def report(index: int, value: object) -> None:
                job = bisect_right(offsets.to_pylist(), index) - 1
                place = f"jobErrors[{index - offsets[job].as_py()}].{field}"
                unreadable.append(Unreadable(str(ids[job]), place, show(value)))

            return kind.read(self.errors[field], report)

        kinds = {"isErrorCode": FLAGS, "value": TEXTS, "url": TEXTS, "number": COUNTS}
        structs = pa.StructArray.from_arrays(
            [column(kind, field) for field, kind in kinds.items()], names=list(ERROR_FIELDS)
        )
        return pa.ListArray.from_arrays(offsets, structs)
