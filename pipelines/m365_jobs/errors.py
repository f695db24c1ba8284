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
from dlt.destinations.exceptions import DatabaseException
from dlt.pipeline.exceptions import PipelineStepFailed

FINE, FAILED, WRONG_USAGE, INCOMPLETE, UNHEALTHY = 0, 1, 2, 3, 4
"""Exit codes of the command line; the last is ``health``'s."""


TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": 'a list such as ["a", "b"]',
}
"""What dlt's type hints are called where people read them."""


class UsageError(Exception):
    """The command line or the configuration cannot work as given."""


class WarehouseError(Exception):
    """The warehouse cannot be used: missing, locked by another program, or not ours."""


class NotificationError(Exception):
    """A message could not be handed over."""


@dataclass(frozen=True)
class Failure:
    """What is said of a failure, and where."""

    kind: str
    """As in ``load_runs.error_kind``."""
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
        if isinstance(one, UsageError):
            return Failure("config", str(one), WRONG_USAGE)
        if isinstance(one, WarehouseError):
            return Failure("destination", str(one), FAILED)
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
        if isinstance(one, DatabaseException | DestinationException):
            return Failure("destination", _destination(one), FAILED)
    step = next((one for one in _chain(error) if isinstance(one, PipelineStepFailed)), None)
    cause = list(_chain(error))[-1]
    if step is not None and step.step in ("load", "sync"):
        return Failure("destination", _destination(cause), FAILED)
    return Failure("internal", f"{type(cause).__name__}: {_first_paragraph(cause)} Run again with --verbose.", FAILED)


def _missing(error: ConfigFieldMissingException) -> str:
    return (
        f"The configuration of {error.spec_name} lacks {', '.join(error.fields)}. Set it in .dlt/secrets.toml, in "
        ".dlt/config.toml or in the environment; --verbose lists the names that were tried."
    )


def _first_paragraph(error: BaseException) -> str:
    text = str(error).strip().split("\n\n")[0]
    return re.sub(r"\s+", " ", text)[:500]


def _destination(error: BaseException) -> str:
    text = _first_paragraph(error)
    cure = "Look at the destination's address, credentials and rights; what was loaded before is still there."
    if "lock" in text.lower():
        cure = "Another program has the warehouse open; close it or wait for it, then run this again."
    elif "space" in text.lower():
        cure = "Free disk space and run this again; what was loaded before is still there."
    return f"The destination refused: {text} {cure}"
