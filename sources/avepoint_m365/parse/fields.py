"""Build the table of jobs from one list of values per field, the common form of both parsers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.parse.columns import COUNTS, FLAGS, HOURS, TEXTS, TIMES, FieldParser, Report, Values
from avepoint_m365.parse.frame import DETAIL_NAMES, ERROR_FIELDS, FRAME

MAX_SHOWN = 120
"""The most characters of a value in a message."""


class Unreadable(NamedTuple):
    """Describe a value that could not be parsed."""

    job_id: str
    """Empty if the id itself could not be parsed."""
    field: str
    value: str


def show(value: object) -> str:
    """Return a value as text for a message, shortened to ``MAX_SHOWN`` characters."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


@dataclass
class JobFields:
    """Hold the fields of jobs by the names of the vendor's table; each list has one value for each id."""

    ids: Values
    plain: Mapping[str, Values]
    """The fields state, startTime, finishTime and duration."""
    details: Mapping[str, Values]
    """The counts of backupDetails, by ``DETAIL_NAMES``."""
    error_counts: pa.Array
    """The number of errors of each job; ``errors`` contains those of all jobs, in the order of the jobs."""
    errors: Mapping[str, Values]
    unknown: pa.Array
    detail_keys: Mapping[str, Sequence[str | None]] | None = None
    """The API's key of each count, for messages; None for a count that is missing."""

    def table(self, unreadable: list[Unreadable]) -> pa.Table:
        """Return the jobs as ``FRAME``; values that cannot be parsed are null, and are added to ``unreadable``."""
        ids = TEXTS.read(self.ids, lambda index, value: None)

        def report(field: str) -> Report:
            return lambda index, value: unreadable.append(Unreadable(str(ids[index]), field, show(value)))

        def column(kind: FieldParser, field: str) -> pa.Array:
            return kind.read(self.plain[field], report(field))

        columns = [
            ids,
            column(TEXTS, "state"),
            column(TIMES, "startTime"),
            column(TIMES, "finishTime"),
            column(HOURS, "duration"),
            *(self._detail(name, ids, unreadable) for name in DETAIL_NAMES),
            self._errors(ids, unreadable),
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
