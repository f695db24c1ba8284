"""Make the dlt resources of companions; each is requested at most once a UTC day, and keeps its last failure."""

from __future__ import annotations

from collections.abc import Iterator

import dlt
from dlt.extract import DltResource

from avepoint_m365.companions.base import STATE_KEY, Answers, Ask, Attempt, Companion, Context, Memory, Row
from avepoint_m365.companions.columns import keeps_history, resource_hints
from avepoint_m365.companions.timing import is_companion_due
from avepoint_m365.exceptions import EndpointMissingError, InterruptedLoadError, MissingPermissionError, SourceError
from avepoint_m365.schema import Table

LOADED, DENIED, ABSENT, FAILED = "loaded", "permission_missing", "not_available", "failed"


def no_rows(table: Table, by_key_alone: bool) -> object:
    """Return an item that lets dlt create a table without rows."""
    # For rows that are merged by key alone, dlt reads the key from each item. Its own marker has none.
    return table.arrow.empty_table() if by_key_alone else dlt.mark.materialize_table_schema()


def resources(companion: Companion, context: Context) -> Iterator[DltResource]:
    """Yield a resource per table of a companion; the first one sends the requests for all."""
    answers = Answers()

    def rows(position: int, table: Table) -> Iterator[object]:
        if position == 0:
            context.begun.append(companion.name)
            memory = dlt.current.source_state().setdefault(STATE_KEY, {}).setdefault(companion.name, {})
            _try(companion, context, memory, answers)
            context.done.append(companion.name)
        table_rows = answers.rows.get(table.name)
        if table_rows and context.versions and keeps_history(table):
            table_rows = context.versions(table, table_rows)
        yield table_rows or no_rows(table, context.versions is not None)

    for position, table in enumerate(companion.tables):
        yield dlt.resource(rows, **resource_hints(table))(position, table)


def _try(companion: Companion, context: Context, memory: Memory, answers: Answers) -> None:
    """Request each location, and record the time and the result in ``memory``.

    Raises:
        InterruptedLoadError: if the load was cancelled.
    """
    if not is_companion_due(memory, context.now):
        return
    attempt = Attempt(companion.name, LOADED, companion.scope, expected=context.explicit or "loaded_at" in memory)
    ask = Ask(context, companion)
    failures: list[SourceError] = []
    for location in context.locations:
        try:
            companion.read(ask, location, memory, answers)
        except InterruptedLoadError:
            raise
        except SourceError as error:
            failures.append(error)
            context.loads.append(attempt_row(companion, context, location, error))
        else:
            context.loads.append(attempt_row(companion, context, location))
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
