"""Make the dlt resources of companions; each is requested at most once a UTC day, and keeps its last failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import dlt
from dlt.extract import DltResource

from avepoint_m365.companions.base import STATE_KEY, Answers, Ask, Attempt, Companion, Context, Memory, Row
from avepoint_m365.companions.columns import keeps_history, resource_hints
from avepoint_m365.companions.timing import is_companion_due
from avepoint_m365.exceptions import EndpointMissingError, InterruptedLoadError, MissingPermissionError, SourceError
from avepoint_m365.futures import results_of
from avepoint_m365.schema import Table

LOADED, DENIED, ABSENT, FAILED = "loaded", "permission_missing", "not_available", "failed"


class _Reading(NamedTuple):
    """Hold what one location returned; after a failure, what came before it."""

    location: str | None
    answers: Answers
    failure: SourceError | None


def no_rows(table: Table, by_key_alone: bool) -> object:
    """Return an item that lets dlt create a table without rows."""
    # For rows that are merged by key alone, dlt reads the key from each item. Its own marker has none.
    return table.arrow.empty_table() if by_key_alone else dlt.mark.materialize_table_schema()


def resources(companion: Companion, context: Context) -> Iterator[DltResource]:
    """Yield a resource per table of a companion; the first one sends the requests for all."""
    answers = Answers()

    def request() -> Iterator[object]:
        """Send the requests, and yield None meanwhile, so that dlt reads other resources."""
        context.begun.append(companion.name)
        memory = dlt.current.source_state().setdefault(STATE_KEY, {}).setdefault(companion.name, {})
        if is_companion_due(memory, context.now):
            threads = ThreadPoolExecutor(min(context.concurrency, len(context.locations)), "avepoint-companion")
            try:
                readings = [
                    threads.submit(_read, companion, context, location, memory) for location in context.locations
                ]
                if context.concurrency == 1:
                    results_of(readings)
                while not all(reading.done() for reading in readings):
                    yield None
            finally:
                # If the jobs fail, dlt closes this generator; the failure must not wait for a slow companion. Ctrl+C
                # may interrupt ``submit`` before it has registered its thread, which would then never end.
                threads.shutdown(wait=False, cancel_futures=True)
            _record(companion, context, memory, answers, [reading.result() for reading in readings])
        context.done.append(companion.name)

    def rows(position: int, table: Table) -> Iterator[object]:
        if position == 0:
            yield from request()
        while companion.name in context.begun and companion.name not in context.done:
            yield None
        table_rows = answers.rows.get(table.name)
        if table_rows and context.versions and keeps_history(table):
            table_rows = context.versions(table, table_rows)
        yield table_rows or no_rows(table, context.versions is not None)

    for position, table in enumerate(companion.tables):
        yield dlt.resource(rows, **resource_hints(table))(position, table)


def _read(companion: Companion, context: Context, location: str | None, memory: Memory) -> _Reading:
    """Request one location.

    Raises:
        InterruptedLoadError: if the load was cancelled.
    """
    answers = Answers()
    try:
        companion.read(Ask(context, companion), location, memory, answers)
    except InterruptedLoadError:
        raise
    except SourceError as error:
        return _Reading(location, answers, error)
    return _Reading(location, answers, None)


def _record(
    companion: Companion, context: Context, memory: Memory, answers: Answers, readings: Sequence[_Reading]
) -> None:
    """Add the results of all locations to ``answers``, and their time and status to ``memory``."""
    attempt = Attempt(companion.name, LOADED, companion.scope, expected=context.explicit or "loaded_at" in memory)
    for reading in readings:
        answers.add_all(reading.answers)
        context.loads.append(attempt_row(companion, context, reading.location, reading.failure))
    failures = [reading.failure for reading in readings if reading.failure]
    if failures:
        attempt.status, attempt.detail = _status(failures[0]), _detail(failures[0])
    memory["tried_at"] = context.now.isoformat()
    memory["status"], memory["detail"], memory["scope"] = attempt.status, attempt.detail, companion.scope
    memory["expected"] = attempt.expected
    memory["findings"] = [finding._asdict() for finding in answers.findings]
    if not failures:
        memory["loaded_at"] = context.now.isoformat()
    context.attempts.append(attempt)


def attempt_row(companion: Companion, context: Context, location: str | None, error: SourceError | None = None) -> Row:
    """Return a row of ``companion_loads``."""
    return {
        "tenant": context.tenant,
        "id": f"{companion.name}/{location or ''}/{context.now.isoformat()}",
        "companion": companion.name,
        "location": location,
        "status": _status(error) if error else LOADED,
        "permission": companion.scope,
        "detail": _detail(error) if error else None,
        "asked_at": context.now,
    }


def _status(error: SourceError) -> str:
    if isinstance(error, MissingPermissionError):
        return DENIED
    return ABSENT if isinstance(error, EndpointMissingError) else FAILED


def _detail(error: SourceError) -> str:
    return str(error)[:1000]
