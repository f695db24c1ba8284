"""Share what all companion resources do: ask once a day, unwrap answers, and remember failures."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

import dlt
from dlt.extract import DltResource

from avepoint_m365.companions.schema import HISTORY, resource_hints
from avepoint_m365.companions.service_types import Service, is_known_service, service_of
from avepoint_m365.exceptions import (
    BadResponseError,
    EndpointMissingError,
    InterruptedLoadError,
    MissingPermissionError,
    SourceError,
    storable,
)
from avepoint_m365.schema import Table

STATE_KEY = "companions"
"""Key of the source state under which each companion keeps what it remembers between loads."""

PERMISSION = "microsoft365backup."

Row = dict[str, Any]
Memory = dict[str, Any]
Versions = Callable[[Table, list[Row]], list[Row]]

LOADED, DENIED, ABSENT, FAILED = "loaded", "permission_missing", "not_available", "failed"


class CompanionClient(Protocol):
    """Ask the API for one resource with a token of one scope."""

    def get(self, path: str, params: Mapping[str, str], scope: str) -> Any:
        """Return the body of the answer, None where there is no content."""


EXAMPLE = 200
"""Characters of an unusual value that are shown."""


@dataclass
class Attempt:
    """Record how one companion ended in one load."""

    name: str
    status: str
    scope: str
    detail: str | None = None
    expected: bool = False
    """Whether the user named the companion, or it worked before: a failure then makes the load incomplete."""

    @property
    def message(self) -> str:
        """Return the failure as a message for people."""
        return f"companion {self.name} skipped: {self.detail}"


@dataclass(frozen=True)
class UnknownValue:
    """Record a value of an answer that the vendor's reference does not name."""

    rule: str
    problem: str
    example: str


@dataclass(frozen=True)
class Context:
    """Hold the settings of one load of companions; ``now`` is in UTC."""

    client: CompanionClient
    tenant: str
    locations: tuple[str | None, ...]
    now: datetime
    explicit: bool
    """Whether the user named the companions; without, each is tried and may be missing."""
    attempts: list[Attempt] = field(default_factory=list)
    loads: list[Row] = field(default_factory=list)
    """Rows of ``companion_loads``."""
    versions: Versions | None = None
    """Turns the settings of now into versions, for a destination whose merges keep no history."""
    done: list[str] = field(default_factory=list)
    """Names of the companions that have been asked, or were not due."""


@dataclass
class Answers:
    """Collect the rows that one companion made of its answers, per table, and the unusual values in them."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    findings: list[UnknownValue] = field(default_factory=list)

    def add(self, table: str, *rows: Row) -> None:
        """Add rows to a table."""
        self.rows.setdefault(table, []).extend(rows)

    def add_once(self, table: str, row: Row) -> None:
        """Add a row unless the table has one with its id: history keeps each row of an answer as often as it comes."""
        if all(row["id"] != other["id"] for other in self.rows.get(table, ())):
            self.add(table, row)

    def service(self, value: object) -> Service:
        """Return a service by its code or name; an unknown one is kept and noted."""
        service = service_of(value)
        if not is_known_service(service):
            self.note("unknown_service_type", "a service type that is not in the vendor's reference", str(value))
        return service

    def note(self, rule: str, problem: str, example: str) -> None:
        """Note an unusual value once."""
        finding = UnknownValue(rule, problem, storable(example)[:EXAMPLE])
        if finding not in self.findings:
            self.findings.append(finding)


class Companion(ABC):
    """Describe one companion: its request, the permission it needs, and the rows it makes of an answer."""

    name: ClassVar[str]
    scope: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    """The second generation's path, then the first generation's where there is one."""
    tables: ClassVar[tuple[Table, ...]]

    @abstractmethod
    def read(self, ask: Ask, location: str | None, memory: Memory, answers: Answers) -> None:
        """Ask for one location and add the rows to ``answers``.

        Raises:
            SourceError: where the API refuses or answers what is not documented.
        """


@dataclass(frozen=True)
class Ask:
    """Ask the endpoints of one companion; use the first generation if the host lacks the second."""

    context: Context
    companion: Companion

    def __call__(self, location: str | None, **params: str) -> Any:
        """Return the data of an answer without the envelopes around it."""
        # Some of the vendor's samples join the first parameter with &, which no server reads as a parameter.
        filters = {**params, **({"location": location} if location else {})}
        missing: EndpointMissingError | None = None
        for path in self.companion.paths:
            try:
                return unwrap(self.context.client.get(path, filters, self.companion.scope))
            except EndpointMissingError as error:
                missing = missing or error
        assert missing is not None
        raise missing

    def of(self, values: Callable[[], Row], where: str) -> Row:
        """Return the columns that ``values`` reads.

        Raises:
            BadResponseError: where a value is in no form that is known.
        """
        try:
            return values()
        except ValueError as error:
            raise BadResponseError(f"GET {self.companion.paths[0]}: {where} holds a value that is {error}.") from error


def unwrap(body: Any) -> Any:
    """Return what an answer holds: the vendor puts it in the body, in ``data``, or in ``data.data``."""
    for _ in range(2):
        if not isinstance(body, Mapping) or "data" not in body:
            break
        body = body["data"]
    return body


def rows_of(data: Any, path: str) -> list[Mapping[str, Any]]:
    """Return a list of objects; none where the API sends none.

    Raises:
        BadResponseError: where it is anything else.
    """
    if data is None:
        return []
    if not isinstance(data, Sequence) or isinstance(data, str) or not all(isinstance(row, Mapping) for row in data):
        raise BadResponseError(f"GET {path}: the answer holds no list of objects.")
    return list(data)


def object_of(data: Any, path: str) -> Mapping[str, Any] | None:
    """Return one object; None where the API sends none.

    Raises:
        BadResponseError: where it is anything else.
    """
    if isinstance(data, list) and len(data) <= 1:
        data = data[0] if data else None
    if data is not None and not isinstance(data, Mapping):
        raise BadResponseError(f"GET {path}: the answer holds no object.")
    return data or None


def content_id(*parts: object) -> str:
    """Return a short id that is the same for the same content."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def scope_of(tenant: str, location: str | None) -> str:
    """Return the tenant and location of a setting as one text, which is never null: a merge by a null finds nothing."""
    return f"{tenant}/{location or ''}"


def is_companion_due(memory: Memory, now: datetime) -> bool:
    """Return whether a companion was not tried yet on this UTC day."""
    tried_at = memory.get("tried_at")
    return not tried_at or datetime.fromisoformat(tried_at).astimezone(UTC).date() != now.date()


def no_rows(table: Table, by_key_alone: bool) -> Any:
    """Return what creates a table without rows."""
    # dlt takes the key of rows that are merged by key alone from the marker as well, which has none.
    return table.arrow.empty_table() if by_key_alone else dlt.mark.materialize_table_schema()


def resources(companion: Companion, context: Context) -> Iterator[DltResource]:
    """Yield a resource per table of a companion; the first asks, the others hand on what it learnt."""
    answers = Answers()

    def rows(position: int, table: Table) -> Iterator[Any]:
        if position == 0:
            memory = dlt.current.source_state().setdefault(STATE_KEY, {}).setdefault(companion.name, {})
            _try(companion, context, memory, answers)
            context.done.append(companion.name)
        shown = answers.rows.get(table.name)
        if shown and context.versions and table in HISTORY:
            shown = context.versions(table, shown)
        yield shown or no_rows(table, context.versions is not None)

    for position, table in enumerate(companion.tables):
        yield dlt.resource(rows, **resource_hints(table))(position, table)


def _try(companion: Companion, context: Context, memory: Memory, answers: Answers) -> None:
    """Ask for each location, and remember when and with which outcome."""
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
    memory["findings"] = [vars(finding) for finding in answers.findings]
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
