"""Check a scan against the warehouse: another tenant, clock skew, missing fields, unreadable values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from avepoint_m365.extract.known import KnownJob, Lookup
from avepoint_m365.extract.source_finding import SourceFinding
from avepoint_m365.extract.window import Window
from avepoint_m365.parse.frame import COLUMNS, DETAIL_NAMES, FRAME
from avepoint_m365.parse.raw import Unreadable
from avepoint_m365.text import format_count

RETENTION = timedelta(days=30)
"""The vendor's retention may have removed all jobs that finished longer ago."""

CLOCK_SKEW = timedelta(hours=1)
"""Clocks that differ by this or less count as equal."""

RECENT_JOBS = 50
"""The most recent jobs of the warehouse that are compared with a scan."""


def another_tenant(
    known: Collection[str], seen: Collection[str], lookup: Lookup, window: Window, cursor: datetime | None
) -> SourceFinding | None:
    """Return a finding if the API returns none of the recent jobs that the warehouse holds.

    The job that set the cursor lies in every window. If it is missing together with all other recent jobs, the API
    returns those of another tenant, or nothing.

    Args:
        known: Ids of the scan's jobs that the warehouse holds.
        seen: Ids of all jobs of the scan.
        lookup: The lookup in the warehouse.
        window: The window of the scan.
        cursor: The cursor before the scan (UTC).
    """
    if known or cursor is None:
        return None
    recent = lookup.recent(window.start, RECENT_JOBS)
    if not recent:
        return None
    returned = format_count(len(seen), "other job") if seen else "no job at all"
    problem = f"finished since {window.start:%Y-%m-%d} but the API returns {returned}, perhaps of another tenant"
    return SourceFinding("other_tenant", problem, len(recent), recent[0])


def clock_skew(server_time: datetime | None, now: datetime) -> timedelta:
    """Return how far the server's clock is ahead of this machine's; 0 within ``CLOCK_SKEW`` or without its time."""
    skew = server_time - now if server_time else timedelta()
    return skew if abs(skew) > CLOCK_SKEW else timedelta()


def skew_finding(skew: timedelta) -> SourceFinding:
    """Return the finding of clocks that differ."""
    hours = abs(skew) / timedelta(hours=1)
    word = "behind" if skew > timedelta() else "ahead of"
    return SourceFinding(
        "clock_skew",
        f"times of another clock: this machine's is {format_count(round(hours), 'hour')} {word} the server's",
    )


def announced_end_findings(announced_end: str) -> list[SourceFinding]:
    """Return the finding of an endpoint that the API ends; ``announced_end`` is a day, words, or "" without one."""
    problem = f"been read from an endpoint that the API ends on {announced_end}"
    return [SourceFinding("endpoint_ends", problem)] if announced_end else []


def unreadable_findings(problems: Collection[Unreadable]) -> list[SourceFinding]:
    """Return one finding for each field with values in an unknown form."""
    by_field: dict[str, list[Unreadable]] = {}
    for problem in problems:
        by_field.setdefault(problem.field, []).append(problem)
    return [
        SourceFinding(
            "unreadable_value",
            f"a {name} in an unknown form, {problems_of_field[0].value!r}",
            len(problems_of_field),
            problems_of_field[0].job_id,
        )
        for name, problems_of_field in by_field.items()
    ]


def warning_findings(warnings: Iterable[str]) -> list[SourceFinding]:
    """Return the finding of warnings that the API returned beside jobs; it shows the first one."""
    texts = [text for text in warnings if text]
    return [SourceFinding("api_warning", f"a warning of the API beside them: {texts[0]!r}", 0, None)] if texts else []


def missing_findings(fields: Collection[str], known: Collection[str]) -> list[SourceFinding]:
    """Return the finding of fields that no job of a page has; ``known`` are ids of its jobs in the warehouse."""
    if not fields:
        return []
    change = "no longer returns" if known else "does not return"
    return [SourceFinding("missing_fields", f"no {', '.join(sorted(fields))}: the API {change} the field", 0, None)]


def conflict_findings(problems: Collection[Unreadable]) -> list[SourceFinding]:
    """Return the finding of fields that have several names with different values."""
    if not problems:
        return []
    example = min(problems)
    fields = ", ".join(sorted({problem.field for problem in problems}))
    problem = f"different values under several names of a field ({fields}); the first is stored: {example.value}"
    return [SourceFinding("conflicting_values", problem, len({item.job_id for item in problems}), example.job_id)]


def keep_known_values(
    jobs: pa.Table, known: Mapping[str, KnownJob], missing: Collection[str], unreadable: Collection[Unreadable]
) -> pa.Table:
    """Return ``jobs`` with the warehouse's values in place of missing and unreadable ones.

    A field that a whole page lacks was renamed or dropped by the vendor, so its null must not replace a value.

    Args:
        jobs: The jobs of the scan (``FRAME``).
        known: Jobs of the warehouse by id.
        missing: Columns of ``FRAME`` without a field on some page.
        unreadable: Values that could not be parsed.
    """
    fields = {(problem.job_id, _column(problem.field)) for problem in unreadable}
    if not (missing or fields) or not known:
        return jobs
    rows = jobs.to_pylist()
    for row in rows:
        if stored := known.get(row["id"]):
            for name in FRAME.names:
                if (name in missing or (row["id"], name) in fields) and row.get(name) in (None, []):
                    row[name] = _value(stored, name)
            if stored.errors and any(name.startswith("errors.") for name in missing):
                row["errors"] = _value(stored, "errors")
    return pa.Table.from_pylist(rows, schema=jobs.schema)


def _column(field: str) -> str:
    """Return the column of ``FRAME`` for a field as ``Unreadable`` names it, such as backupDetails.totalCount."""
    name = field.split(".")[-1].split("[")[0]
    for suffix in ("Number", "Count"):
        if (column := f"{name.removesuffix(suffix)}_number") in DETAIL_NAMES and name.endswith(suffix):
            return column
    return COLUMNS.get(field.split("[")[0], field)


def _value(stored: KnownJob, name: str) -> Any:
    """Return the value of a column of ``FRAME`` that the warehouse holds."""
    if name in DETAIL_NAMES:
        return dict(zip(DETAIL_NAMES, stored.counts, strict=False)).get(name)
    if name == "errors":
        return [error._asdict() for error in stored.errors]
    return getattr(stored, name, None)
