"""Keep the jobs of pages as they arrived, and parse those of many pages together if their form is documented."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.parse.depth import is_too_deep
from avepoint_m365.parse.fields import Unreadable, show
from avepoint_m365.parse.frame import COLUMNS, DETAIL_NAMES, FRAME, SEEN_AT
from avepoint_m365.parse.jobs import documented_fields, read_documented
from avepoint_m365.parse.names import DOCUMENTED_DETAILS
from avepoint_m365.parse.objects import ObjectParser
from avepoint_m365.parse.plausible import (
    drop_impossible_finishes,
    drop_impossible_starts,
    fill_durations,
    keep_newer_rows,
)
from avepoint_m365.parse.states import is_in_progress
from avepoint_m365.text import format_count

__all__ = ["ParsedJobs", "RawJobs", "Unreadable", "parse_raw"]

BATCH = 8_000_000
"""Bytes of pages that are parsed together: enough to share the fixed cost, few enough to copy in memory."""

_OF_ERRORS = {"value": "errors.value", "number": "errors.number"}
_KEYS = {**COLUMNS, **{name: name for name in DETAIL_NAMES}, **_OF_ERRORS}
"""Columns of the fields whose absence is reported; details have the names of their columns."""

_RENAMED = {
    **{key: {column} for key, column in _KEYS.items()},
    "backupDetails": set(DETAIL_NAMES),
    "url": {"errors.url"},
    "isErrorCode": {"errors.is_error_code"},
}
"""Columns of the fields that may be renamed."""


class ParsedJobs(NamedTuple):
    """Hold the jobs of one or more pages, and what could not be parsed."""

    jobs: pa.Table
    """``FRAME`` with ``SEEN_AT``."""
    unreadable: tuple[Unreadable, ...] = ()
    missing_fields: frozenset[str] = frozenset()
    """Columns of ``FRAME`` whose field is missing in all jobs of a page, or renamed in some.

    Fields of errors are among them, such as ``errors.value``."""
    conflicts: tuple[Unreadable, ...] = ()
    """Fields that have several names with different values; the first one is stored."""

    @property
    def is_newest_first(self) -> bool:
        """Return whether all jobs have a start and are sorted by it, newest first."""
        starts = self.jobs["start_time"]
        return not starts.null_count and pc.all(pc.greater_equal(starts[:-1], starts[1:])).as_py() is not False


@dataclass(frozen=True)
class RawJobs:
    """Hold the jobs of a page: as Python objects, or still as JSON."""

    rows: Sequence[object] = ()
    content: bytes = b""
    """The list of jobs as JSON, without its brackets; then ``ids`` contains its ids, and ``rows`` is empty."""
    ids: Sequence[str] = ()
    seen_at: int = field(default_factory=time.monotonic_ns)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the page arrived (UTC), by the later of this machine's clock and the server's."""
    redact: Callable[[str], str] = str
    """Removes secrets from a text that a server might echo."""

    @property
    def holds_jobs(self) -> bool:
        """Return whether there are jobs, in either form."""
        return bool(self.rows or self.content)


def parse_raw(pages: Sequence[RawJobs]) -> ParsedJobs:
    """Return the jobs of many pages, in their order; a job on several pages has several rows."""
    return concat_parsed([part for batch in _batches(pages) for part in _parse_batch(batch)])


def concat_parsed(parsed: Sequence[ParsedJobs]) -> ParsedJobs:
    """Return the jobs of several tables in one, and all that could not be parsed."""
    empty = FRAME.append(pa.field(SEEN_AT, pa.int64())).empty_table()
    return ParsedJobs(
        pa.concat_tables([empty, *(part.jobs for part in parsed)]),
        tuple(problem for part in parsed for problem in part.unreadable),
        frozenset().union(*(part.missing_fields for part in parsed)),
        tuple(problem for part in parsed for problem in part.conflicts),
    )


def _batches(pages: Sequence[RawJobs]) -> Iterator[list[RawJobs]]:
    """Yield pages in order: pages of JSON in batches, and each page of objects by itself."""
    batch, size = list[RawJobs](), 0
    for page in pages:
        if batch and (not page.content or size + len(page.content) > BATCH):
            yield batch
            batch, size = [], 0
        if not page.content:
            yield [page]
            continue
        batch.append(page)
        size += len(page.content)
    if batch:
        yield batch


def _parse_batch(pages: list[RawJobs]) -> Iterator[ParsedJobs]:
    """Yield the jobs of a batch in as few tables as possible; halve it until each half is documented or one page."""
    if not pages[0].content:
        yield _parse_rows(pages[0], pages[0].rows)
        return
    lists = read_documented([page.content for page in pages])
    if lists is not None:
        yield _parse_documented(pages, lists)
    elif len(pages) > 1:
        middle = len(pages) // 2
        yield from _parse_batch(pages[:middle])
        yield from _parse_batch(pages[middle:])
    else:
        yield _parse_rows(pages[0], _decode(pages[0].content))


def _decode(content: bytes) -> Sequence[object]:
    """Return the rows of a page in any form; none if it is no JSON, or nested too deep."""
    if is_too_deep(content):
        return []
    try:
        return list(json.loads(b"[" + content + b"]", strict=False))
    except ValueError:
        return []


def _parse_rows(page: RawJobs, rows: Sequence[object]) -> ParsedJobs:
    parser = ObjectParser()
    jobs = parser.fields(rows).table(parser.unreadable)
    if page.content and jobs["id"].to_pylist() != list(page.ids):
        parser.unreadable.append(_not_as_outlined(page, jobs["id"].to_pylist()))
    renamed = frozenset[str]().union(*(_RENAMED.get(name, ()) for name in parser.renamed(jobs)))
    jobs = keep_newer_rows(_plausible(jobs, page.now, parser.unreadable))
    jobs = jobs.append_column(SEEN_AT, pa.repeat(pa.scalar(page.seen_at, pa.int64()), jobs.num_rows))
    unreadable, conflicts = (_redacted(problems, page) for problems in (parser.unreadable, parser.conflicts))
    return ParsedJobs(jobs, unreadable, _missing(jobs, parser.names) | renamed, conflicts)


def _parse_documented(pages: Sequence[RawJobs], lists: pa.ListArray) -> ParsedJobs:
    unreadable: list[Unreadable] = []
    jobs = documented_fields(lists.values).table(unreadable)
    bounds, ids = list(pairwise(lists.offsets.to_pylist())), jobs["id"].to_pylist()
    missing, repeated = frozenset[str](), False
    for page, (start, end) in zip(pages, bounds, strict=True):
        if ids[start:end] != page.ids:
            unreadable.append(_not_as_outlined(page, ids[start:end]))
        repeated |= len(set(ids[start:end])) < end - start
        missing |= _missing_in(jobs, start, end, page.content)
    jobs = _plausible(jobs, max(page.now for page in pages), unreadable)
    seen_at = pc.take(pa.array([page.seen_at for page in pages], pa.int64()), pc.list_parent_indices(lists))
    jobs = jobs.append_column(SEEN_AT, seen_at)
    if repeated:
        jobs = pa.concat_tables([keep_newer_rows(jobs.slice(start, end - start)) for start, end in bounds])
    return ParsedJobs(jobs, _redacted(unreadable, pages[0]), missing)


def _plausible(jobs: pa.Table, now: datetime, unreadable: list[Unreadable]) -> pa.Table:
    def reporter(field: str) -> Callable[[int, object], None]:
        return lambda row, value: unreadable.append(Unreadable(jobs["id"][row].as_py(), field, str(value)))

    jobs = drop_impossible_finishes(jobs, now, reporter("finishTime"))
    return fill_durations(drop_impossible_starts(jobs, now, reporter("startTime")))


def _not_as_outlined(page: RawJobs, ids: Sequence[str]) -> Unreadable:
    """Return the problem of a page whose parsed ids are not those of its outline, which paging used."""
    counts = f"{format_count(len(page.ids), 'id')} on the page, {format_count(len(ids), 'job')}"
    return Unreadable("", "id", f"{counts}; {show(page.content[:MAX_SHOWN_BYTES])}")


MAX_SHOWN_BYTES = 60
"""The most bytes of a page in a message."""


def _redacted(unreadable: Sequence[Unreadable], page: RawJobs) -> tuple[Unreadable, ...]:
    return tuple(problem._replace(value=page.redact(problem.value)) for problem in unreadable)


def _missing_in(jobs: pa.Table, start: int, end: int, content: bytes) -> frozenset[str]:
    """Return the columns whose field is missing in a page: the rows from ``start`` to ``end`` of ``jobs``."""
    empty = {
        key
        for key, column in _KEYS.items()
        if key in ("jobErrors", *_OF_ERRORS)
        or (jobs[column].null_count and jobs[column][start:end].null_count == end - start)
    }
    absent = {
        key for key in empty if not any(f'"{name}"'.encode() in content for name in DOCUMENTED_DETAILS.get(key, (key,)))
    }
    return _missing(jobs.slice(start, end - start), _KEYS.keys() - absent) if absent else frozenset()


def _missing(jobs: pa.Table, names: set[str]) -> frozenset[str]:
    """Return the columns whose field is missing in a page although its jobs should have it; ``names`` are present.

    A job in progress may lack all fields but its start. A job without failed objects may lack its errors; without their
    number, errors are missing.
    """
    missing = {_KEYS[key] for key in _KEYS.keys() - names}
    if not jobs.num_rows or not missing:
        return frozenset()
    if all(map(is_in_progress, pc.unique(jobs["state"]).to_pylist())):
        return frozenset(missing & {"start_time"})
    if "failed_number" not in missing and not pc.any(pc.greater(jobs["failed_number"], 0)).as_py():
        missing -= {"errors"}
    if not pc.any(pc.greater(pc.list_value_length(jobs["errors"]), 0)).as_py():
        missing -= {*_OF_ERRORS.values()}
    return frozenset(missing)
