"""Define the base of all companions: request, permission, tables, and rows from responses."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

from avepoint_m365.companions.service_types import Service, is_known_service, service_of
from avepoint_m365.endpoints import JOBS, Params, link_parameters
from avepoint_m365.exceptions import BadResponseError, EndpointMissingError
from avepoint_m365.parse.names import field_of, key_of
from avepoint_m365.parse.renames import renamed_fields
from avepoint_m365.schema import Table
from avepoint_m365.text import storable

STATE_KEY = "companions"
"""Key of the source state for the memory of each companion between loads."""

PERMISSION = "microsoft365backup."

MAX_PAGES = 100
"""The most pages of one list; only a server that invents pages without end has more."""

Row: TypeAlias = dict[str, object]
Memory: TypeAlias = dict[str, object]
Values = TypeVar("Values")
Versions = Callable[[Table, list[Row]], list[Row]]


class CompanionClient(Protocol):
    """Request one resource of the API with a token of one scope."""

    def get(self, path: str, params: Mapping[str, str], scope: str) -> object:
        """Return the body of a response; None without content."""


EXAMPLE = 200
"""The most characters of an unknown value in a finding."""


@dataclass
class Attempt:
    """Record the result of one companion in one load."""

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


class UnknownValue(NamedTuple):
    """Record a value of a response that the vendor's reference does not name."""

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
    """Whether the user named the companions; otherwise each is tried, and a missing one is no failure."""
    concurrency: int = 1
    """The most locations that a companion requests at once; with 1, dlt waits for each companion."""
    attempts: list[Attempt] = field(default_factory=list)
    loads: list[Row] = field(default_factory=list)
    """Rows of ``companion_loads``."""
    versions: Versions | None = None
    """Turns current settings into versions, for a destination whose merges keep no history."""
    begun: list[str] = field(default_factory=list)
    """Names of the companions whose turn has begun."""
    done: list[str] = field(default_factory=list)
    """Names of the companions that were requested, or not due."""


@dataclass
class Answers:
    """Collect the rows of one companion by table, and the unknown values in its responses."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    findings: list[UnknownValue] = field(default_factory=list)

    def add(self, table: str, *rows: Row) -> None:
        """Add rows to a table."""
        self.rows.setdefault(table, []).extend(rows)

    def add_once(self, table: str, row: Row) -> None:
        """Add a row unless the table has one with its id: a history would keep repeated rows."""
        if all(row["id"] != other["id"] for other in self.rows.get(table, ())):
            self.add(table, row)

    def add_all(self, other: Answers) -> None:
        """Add the rows and findings of another location."""
        for table, rows in other.rows.items():
            self.add(table, *rows)
        self.findings += [finding for finding in other.findings if finding not in self.findings]

    def service(self, value: object) -> Service:
        """Return a service by its code or name; an unknown one is kept and reported as a finding."""
        service = service_of(value)
        if not is_known_service(service):
            self.note("unknown_service_type", "a service type that is not in the vendor's reference", service.service)
        return service

    def parsed(
        self, parse: Callable[[object], Values | None], value: object, rule: str, problem: str, example: str
    ) -> Values | None:
        """Return the result of ``parse``; None, and a finding as in ``note``, if the value has an unknown form."""
        try:
            return parse(value)
        except ValueError:
            self.note(rule, problem, example)
            return None

    def note_renamed(self, row: Mapping[str, object], fields: Sequence[str], optional: Sequence[str] = ()) -> None:
        """Add a finding for each documented field that a row lacks, if it has an unknown one instead.

        Fields that are ``optional`` may be missing, and are not unknown.
        """
        problem = "no field of the vendor's reference, but an unknown one"
        missing = renamed_fields({name: (name,) for name in (*fields, *optional)}, [tuple(row)])
        for name in filter(missing.__contains__, fields):
            self.note("renamed_companion_field", problem, f"{name}; the fields are {', '.join(sorted(row))}")

    def note(self, rule: str, problem: str, example: str) -> None:
        """Add a finding about an unknown value, once."""
        finding = UnknownValue(rule, problem, storable(example)[:EXAMPLE])
        if finding not in self.findings:
            self.findings.append(finding)


class Companion(ABC):
    """Describe one companion: its request, its permission, and the rows that it makes from a response."""

    name: ClassVar[str]
    scope: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    """The path of the second generation, then that of the first one if it exists."""
    tables: ClassVar[tuple[Table, ...]]

    def day_parameters(self, day: date) -> Mapping[str, str]:
        """Return the parameters of a request for a UTC day; none if the endpoint has no range."""
        return {}

    @abstractmethod
    def read(self, ask: Ask, location: str | None, memory: Memory, answers: Answers) -> None:
        """Request one location and add its rows to ``answers``.

        Raises:
            SourceError: if the API refuses, or its response has an undocumented form.
        """


class Ask(NamedTuple):
    """Request the endpoints of one companion; use the first generation if the host lacks the second."""

    context: Context
    companion: Companion

    def __call__(self, location: str | None, **params: str) -> object:
        """Return the data of a response without its envelopes; of a list, the rows of all its pages.

        Raises:
            SourceError: if the API refuses, or announces a page that no parameter names.
        """
        # Some of the vendor's samples begin the query with & in place of ?, which servers do not read.
        filters = {**params, **({"location": location} if location else {})}
        body, asked = get_any(self.context.client, self.companion, filters), [filters]
        data = unwrap(body)
        # A row on a page that is not read would count as switched off.
        while isinstance(data, list) and (link := next_link(body)):
            page = _page_parameters(link, filters)
            if page is None or len(asked) == MAX_PAGES:
                raise BadResponseError(f"GET {self.companion.paths[0]}: the further page {link!r} cannot be read.")
            if page in asked:
                break
            asked.append(page)
            body = get_any(self.context.client, self.companion, page)
            new = [row for row in rows_of(unwrap(body), self.companion.paths[0]) if row not in data]
            if not new:
                break
            data += new
        return data

    def of(self, values: Callable[[], Values], where: str) -> Values:
        """Return the result of ``values``, which parses fields; ``where`` names their object in errors.

        Raises:
            BadResponseError: if a value has an unknown form.
        """
        try:
            return values()
        except ValueError as error:
            raise BadResponseError(f"GET {self.companion.paths[0]}: {where} holds a value that is {error}.") from error


def get_any(client: CompanionClient, companion: Companion, params: Mapping[str, str]) -> object:
    """Return the body of a response, from the first generation's endpoint if the host lacks that of the second.

    Raises:
        SourceError: if the API refuses, or lacks both.
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
    """Return the data of a response, which is the body itself, its ``data``, or its ``data.data``."""
    for _ in range(2):
        if not isinstance(body, Mapping) or (key := key_of(body, "data")) is None:
            break
        body = body[key]
    return body


def next_link(body: object) -> str:
    """Return the link to the next page; empty without one. It is in the body, its ``metadata``, or its ``data``."""
    if not isinstance(body, Mapping):
        return ""
    parts = (body, *(field_of(body, name) for name in (*JOBS.paging, "data")))
    links = (field_of(part, *JOBS.links) for part in parts if isinstance(part, Mapping))
    return next((link for link in links if link and isinstance(link, str)), "")


def _page_parameters(link: str, filters: Mapping[str, str]) -> Params | None:
    """Return the parameters of a further page; None if the link has none. It never changes the ``filters``."""
    own = {name.lower() for name in filters}
    page = {JOBS.parameter(name) or name: value for name, value in link_parameters(link).items()}
    named = {name: value for name, value in page.items() if name.lower() not in own}
    return {**filters, **named} if named else None


def rows_of(data: object, path: str) -> list[Mapping[str, object]]:
    """Return a list of objects; an empty one for null.

    Raises:
        BadResponseError: for anything else.
    """
    if data is None:
        return []
    if not isinstance(data, Sequence) or isinstance(data, str) or not all(isinstance(row, Mapping) for row in data):
        raise BadResponseError(f"GET {path}: the response contains no list of objects.")
    return list(data)


def object_of(data: object, path: str, fields: Sequence[str]) -> Mapping[str, object]:
    """Return one object, also from a list of one.

    Raises:
        BadResponseError: for anything else, such as null, which says nothing about the settings; and for an object
            with none of the documented ``fields``: an error message in place of the data would otherwise replace it.
    """
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not data or not isinstance(data, Mapping):
        raise BadResponseError(f"GET {path}: the response contains no object.")
    if not key_of(data, *fields):
        raise BadResponseError(
            f"GET {path}: the response contains none of the fields {', '.join(fields)}; its fields are {sorted(data)}."
        )
    return data


def content_id(*parts: object) -> str:
    """Return an id of 24 characters that is the same for the same content."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def scope_of(tenant: str, location: str | None) -> str:
    """Return tenant and location of a setting as one text for merging; it is never null, which no merge matches."""
    return f"{tenant}/{location or ''}"
