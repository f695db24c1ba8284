"""Define what every companion has: a request, its permission, its tables, and the rows that it makes of answers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, Protocol, TypeAlias, TypeVar

from avepoint_m365.companions.service_types import Service, is_known_service, service_of
from avepoint_m365.exceptions import (
    BadResponseError,
    EndpointMissingError,
    storable,
)
from avepoint_m365.schema import Table

STATE_KEY = "companions"
"""Key of the source state under which each companion keeps what it remembers between loads."""

PERMISSION = "microsoft365backup."

Row: TypeAlias = dict[str, object]
Memory: TypeAlias = dict[str, object]
Values = TypeVar("Values")
Versions = Callable[[Table, list[Row]], list[Row]]


class CompanionClient(Protocol):
    """Ask the API for one resource with a token of one scope."""

    def get(self, path: str, params: Mapping[str, str], scope: str) -> object:
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

    def day_parameters(self, day: date) -> Mapping[str, str]:
        """Return the parameters of a request that asks for a UTC day; none where the endpoint knows no days."""
        return {}

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

    def __call__(self, location: str | None, **params: str) -> object:
        """Return the data of an answer without the envelopes around it."""
        # Some of the vendor's samples join the first parameter with &, which no server reads as a parameter.
        filters = {**params, **({"location": location} if location else {})}
        return unwrap(get_any(self.context.client, self.companion, filters))

    def of(self, values: Callable[[], Values], where: str) -> Values:
        """Return what ``values`` reads.

        Raises:
            BadResponseError: where a value is in no form that is known.
        """
        try:
            return values()
        except ValueError as error:
            raise BadResponseError(f"GET {self.companion.paths[0]}: {where} holds a value that is {error}.") from error


def get_any(client: CompanionClient, companion: Companion, params: Mapping[str, str]) -> object:
    """Return the body of an answer, from the first generation's endpoint where the host lacks the second's.

    Raises:
        SourceError: where the API refuses, or has neither.
    """
    missing: EndpointMissingError | None = None
    for path in companion.paths:
        try:
            return client.get(path, params, companion.scope)
        except EndpointMissingError as error:
            missing = missing or error
    assert missing is not None
    raise missing


def unwrap(body: object) -> object:
    """Return what an answer holds: the vendor puts it in the body, in ``data``, or in ``data.data``."""
    for _ in range(2):
        if not isinstance(body, Mapping) or "data" not in body:
            break
        body = body["data"]
    return body


def rows_of(data: object, path: str) -> list[Mapping[str, object]]:
    """Return a list of objects; none where the API sends none.

    Raises:
        BadResponseError: where it is anything else.
    """
    if data is None:
        return []
    if not isinstance(data, Sequence) or isinstance(data, str) or not all(isinstance(row, Mapping) for row in data):
        raise BadResponseError(f"GET {path}: the answer holds no list of objects.")
    return list(data)


def object_of(data: object, path: str) -> Mapping[str, object] | None:
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
