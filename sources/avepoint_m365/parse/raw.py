"""The jobs of a page as they arrived, and their parsing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.parse.fields import Unreadable
from avepoint_m365.parse.jobs import documented_fields
from avepoint_m365.parse.objects import ObjectParser
from avepoint_m365.parse.plausible import drop_impossible_finishes, fill_durations, keep_newer_rows
from avepoint_m365.parse.states import is_in_progress
from avepoint_m365.parse.values import DETAIL_NAMES, FRAME, SEEN_AT

__all__ = ["ParsedJobs", "RawJobs", "Unreadable", "parse_raw"]

_KEYS = {
    "state": "state",
    "startTime": "start_time",
    "finishTime": "finish_time",
    "duration": "duration_hours",
    "jobErrors": "errors",
    **{name: name for name in DETAIL_NAMES},
}
"""Names of the vendor's table to columns of ``FRAME``, for fields whose absence is reported."""


@dataclass(frozen=True)
class ParsedJobs:
    """The jobs of one or more pages, and what could not be parsed."""

    jobs: pa.Table
    """``FRAME`` with ``SEEN_AT``."""
    unreadable: tuple[Unreadable, ...] = ()
    missing_fields: frozenset[str] = frozenset()
    """Columns of ``FRAME`` for which no job of some page had a field."""


@dataclass(frozen=True)
class RawJobs:
    """The jobs of a page, as Arrow or as Python's JSON read them."""

    rows: Sequence[object] | pa.StructArray
    seen_at: int = field(default_factory=time.monotonic_ns)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the page arrived, by the later of both clocks."""
    content: bytes = b""
    """The body, where Arrow parsed it."""
    redact: Callable[[str], str] = str
    """Removes secrets from a text that a server might echo."""

    @cached_property
    def parsed(self) -> ParsedJobs:
        """Return the parsed jobs, each once."""
        unreadable: list[Unreadable] = []
        if isinstance(self.rows, pa.StructArray):
            jobs = documented_fields(self.rows).table(unreadable)
            names = {key for key in _KEYS if not self._lacks(jobs, key)}
        else:
            parser = ObjectParser(unreadable)
            jobs, names = parser.fields(self.rows).table(unreadable), parser.names
        ids = jobs["id"]

        def report(row: int, value: object) -> None:
            unreadable.append(Unreadable(ids[row].as_py(), "finishTime", str(value)))

        jobs = fill_durations(keep_newer_rows(drop_impossible_finishes(jobs, self.now, report)))
        jobs = jobs.append_column(SEEN_AT, pa.repeat(pa.scalar(self.seen_at, pa.int64()), jobs.num_rows))
        redacted = (problem._replace(value=self.redact(problem.value)) for problem in unreadable)
        return ParsedJobs(jobs, tuple(redacted), _missing(jobs, names))

    def _lacks(self, jobs: pa.Table, key: str) -> bool:
        """Return true if the body of a page without any value of a field has no such field."""
        column = jobs[_KEYS[key]]
        if key == "jobErrors":
            return b'"jobErrors"' not in self.content
        if column.null_count < len(column):
            return False
        spellings = [key] if key not in DETAIL_NAMES else [_camel(key, "Number"), _camel(key, "Count")]
        return not any(f'"{spelling}"'.encode() in self.content for spelling in spellings)


def _camel(name: str, suffix: str) -> str:
    return name.removesuffix("_number") + suffix


def _missing(jobs: pa.Table, names: set[str]) -> frozenset[str]:
    """Return the columns for which a page has no field although its jobs should have one.

    A job in progress may lack all but its start; a job without failed objects need not have a list of errors.
    """
    missing = {_KEYS[key] for key in _KEYS.keys() - names}
    if not jobs.num_rows or not missing:
        return frozenset()
    running = {word for word in pc.unique(jobs["state"]).to_pylist() if is_in_progress(word)}
    if running and running == set(pc.unique(jobs["state"]).to_pylist()):
        return frozenset(missing & {"state", "start_time"})
    if not pc.any(pc.greater(jobs["failed_number"], 0)).as_py():
        missing -= {"errors"}
    return frozenset(missing)


def parse_raw(pages: Sequence[RawJobs]) -> ParsedJobs:
    """Return the jobs of many pages, in their order; a job on several pages has several rows."""
    parsed = [page.parsed for page in pages]
    empty = FRAME.append(pa.field(SEEN_AT, pa.int64())).empty_table()
    return ParsedJobs(
        pa.concat_tables([empty, *(one.jobs for one in parsed)]),
        tuple(problem for one in parsed for problem in one.unreadable),
        frozenset().union(*(one.missing_fields for one in parsed)),
    )
