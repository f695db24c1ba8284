"""From whatever went wrong to one readable paragraph, a kind for ``load_runs`` and an exit code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from avepoint_m365.errors import SourceError
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.destination.exceptions import DestinationException
from dlt.common.exceptions import MissingDependencyException
from dlt.common.schema.exceptions import DataValidationError
from dlt.destinations.exceptions import DatabaseException
from dlt.load.exceptions import LoadClientJobException
from dlt.pipeline.exceptions import PipelineStepFailed

from m365_jobs import destination_errors

FINE, FAILED, WRONG_USAGE, INCOMPLETE, UNHEALTHY = 0, 1, 2, 3, 4
"""Exit codes of the command line; the last is ``health``'s."""


TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": 'a list such as ["a", "b"]',
}
"""What dlt's type hints are called where people read them."""


EXTRAS = {"postgres": "postgres", "deltalake": "lake", "pyiceberg": "lake"}
"""Extras of dlt that are extras of this project under another name."""


class UsageError(Exception):
    """The command line or the configuration cannot work as given."""


class WarehouseError(Exception):
    """The warehouse cannot be used: missing, locked by another program, or not ours."""


class NotificationError(Exception):
    """A message could not be handed over."""


class QueryError(Exception):
    """A query of the user's that is refused, or that the destination cannot run."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Failure:
    """What is said of a failure, and where."""

    kind: str
    """As in ``load_runs.error_kind``, or query."""
    text: str
    exit_code: int


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def explain(error: BaseException) -> Failure:
    """Says in one paragraph what happened, where, and what to do. Never holds a secret: errors of the source have
    none, and of the others only the known parts are used."""
    for one in _chain(error):
        if isinstance(one, SourceError):
            return Failure(one.kind, str(one), WRONG_USAGE if one.kind == "config" else FAILED)
        if isinstance(one, QueryError):
            return Failure("query", str(one), one.exit_code)
        if isinstance(one, UsageError):
            return Failure("config", str(one), WRONG_USAGE)
        if isinstance(one, WarehouseError):
            return Failure("destination", str(one), FAILED)
        if isinstance(one, DataValidationError):
            return Failure("destination", _contract(one), FAILED)
        if isinstance(one, MissingDependencyException):
            return Failure("config", _not_installed(one), WRONG_USAGE)
        if isinstance(one, NotificationError):
            return Failure("notification", str(one), FAILED)
        if isinstance(one, ConfigFieldMissingException):
            return Failure("config", _missing(one), WRONG_USAGE)
        if isinstance(one, ConfigValueCannotBeCoercedException):
            value = f"{one.field_value!r}" if "secret" not in str(one.hint).lower() else "the value"
            name = getattr(one.hint, "__name__", str(one.hint))
            expected = TYPES.get(name, name)
            return Failure(
                "config", f"sources.avepoint_m365.{one.field_name} = {value} is not {expected}.", WRONG_USAGE
            )
        if isinstance(one, ConfigurationException):
            return Failure("config", _first_paragraph(one), WRONG_USAGE)
    for one in _chain(error):
        if isinstance(one, DatabaseException | DestinationException) or destination_errors.of_driver(one):
            return Failure("destination", _destination(one), FAILED)
    step = next((one for one in _chain(error) if isinstance(one, PipelineStepFailed)), None)
    cause = list(_chain(error))[-1]
    if step is not None and step.step in ("load", "sync"):
        return Failure("destination", _destination(cause), FAILED)
    return Failure("internal", f"{type(cause).__name__}: {_first_paragraph(cause)} Run again with --verbose.", FAILED)


def _contract(error: DataValidationError) -> str:
    held = error.table_schema["columns"][error.column_name]
    return (
        f"Column {error.column_name} of table {error.table_name} would no longer be of the type {held['data_type']} "
        "that it has in the warehouse. Columns and their types are a promise, so nothing was written. Load into "
        "another dataset with --dataset, and please report this."
    )


def _not_installed(error: MissingDependencyException) -> str:
    extra = next((ours for word, ours in EXTRAS.items() if any(word in one for one in error.dependencies)), None)
    cure = f"pip install 'avepoint-m365-jobs[{extra}]'" if extra else f"pip install {' '.join(error.dependencies)}"
    return f"{error.caller} needs a package that is not installed. Run: {cure}"


def _missing(error: ConfigFieldMissingException) -> str:
    return (
        f"The configuration of {error.spec_name} lacks {', '.join(error.fields)}. Set it in .dlt/secrets.toml, in "
        ".dlt/config.toml or in the environment; --verbose lists the names that were tried."
    )


def _first_paragraph(error: BaseException) -> str:
    text = str(error).strip().split("\n\n")[0]
    return re.sub(r"\s+", " ", text)[:500]


def in_use(error: BaseException) -> bool:
    """Whether another process has the DuckDB file open; Windows says it in its own words."""
    text = str(error).lower()
    return "lock on file" in text or "used by another process" in text


def _destination(error: BaseException) -> str:
    if isinstance(error, LoadClientJobException):
        # Its own text is dlt's, with a traceback in it.
        error = error.client_exception or error
    return destination_errors.explain(_first_paragraph(error))
