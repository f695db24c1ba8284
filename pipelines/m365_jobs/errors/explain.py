"""From whatever went wrong to one readable paragraph, a kind for ``load_runs`` and an exit code."""

from __future__ import annotations

import errno
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avepoint_m365 import avepoint_m365
from avepoint_m365.config import SECTION
from avepoint_m365.exceptions import InterruptedLoadError, SourceError
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
    FieldLookupTraces,
    LookupTraces,
    ValueNotSecretException,
)
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.destination.exceptions import DestinationException
from dlt.common.exceptions import MissingDependencyException
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.common.schema.exceptions import DataValidationError
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.extract.incremental.exceptions import ExternalSchedulerNotAvailable
from dlt.load.exceptions import LoadClientJobException
from dlt.pipeline.exceptions import PipelineStepFailed

from m365_jobs.errors import driver_messages
from m365_jobs.errors.exceptions import (
    FAILED,
    FINE,
    INCOMPLETE,
    INTERRUPTED,
    UNHEALTHY,
    WRONG_USAGE,
    NotificationError,
    QueryError,
    UsageError,
    WarehouseError,
)

__all__ = [
    "FAILED",
    "FINE",
    "INCOMPLETE",
    "INTERRUPTED",
    "UNHEALTHY",
    "WRONG_USAGE",
    "Failure",
    "NotificationError",
    "QueryError",
    "UsageError",
    "WarehouseError",
    "explain",
]

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": 'a list such as ["a", "b"]',
}
"""What dlt's type hints are called where people read them."""


EXTRAS = {"postgres": "postgres", "deltalake": "lake", "pyiceberg": "lake"}
"""Extras of dlt that are extras of this project under another name."""


EXTRA_OF_MODULE = {
    **dict.fromkeys(("altair", "vl_convert", "starlette", "uvicorn", "anyio", "jinja2", "markupsafe"), "reports"),
    **dict.fromkeys(("weasyprint", "pypdfium2", "PIL"), "reports"),
    "marimo": "notebook",
    "prompt_toolkit": "prompt",
    "prometheus_client": "prometheus",
    **dict.fromkeys(("psycopg2",), "postgres"),
    **dict.fromkeys(("deltalake", "pyiceberg", "sqlalchemy"), "lake"),
    **dict.fromkeys(("dagster", "dagster_dlt"), "dagster"),
    "airflow": "airflow",
}
"""Module to the extra of this project that installs it."""


NO_INTERVAL = (
    "DLT_ALLOW_EXTERNAL_SCHEDULERS leaves it to a scheduler what to load, and none says so. Set both "
    "DLT_INTERVAL_START and DLT_INTERVAL_END, or unset all three to load what is new."
)


OS_CURES = {
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "Raise the limit of open files (ulimit -n 4096, or LimitNOFILE= in systemd), or lower concurrency.",
    ),
    **dict.fromkeys(
        (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS),
        "The file system keeps no locks, as many network shares do not. Name a local folder in DLT_DATA_DIR.",
    ),
}
"""Errors of the operating system with the same cure wherever they occur."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk says that is full, or a file that may not grow."""


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
    if any(isinstance(one, KeyboardInterrupt | InterruptedLoadError) for one in _chain(error)):
        # dlt hands it on as a failure of the step that it was at.
        return Failure("internal", "Interrupted.", INTERRUPTED)
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in OS_CURES:
            path = f": {one.filename}" if one.filename else ""
            return Failure("internal", f"{one.strerror}{path}. {OS_CURES[one.errno]} Then run this again.", FAILED)
        if isinstance(one, TomlProviderReadException):
            return Failure("config", _invalid_toml(one), WRONG_USAGE)
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
        if isinstance(one, ModuleNotFoundError) and str(one.name).split(".")[0] in EXTRA_OF_MODULE:
            return Failure("config", _extra_missing(str(one.name)), WRONG_USAGE)
        if isinstance(one, MissingDependencyException):
            return Failure("config", _not_installed(one), WRONG_USAGE)
        if isinstance(one, NotificationError):
            return Failure("notification", str(one), FAILED)
        if isinstance(one, ConfigFieldMissingException):
            return Failure("config", _missing(one), WRONG_USAGE)
        if isinstance(one, ConfigValueCannotBeCoercedException):
            return Failure("config", _of_another_type(one), WRONG_USAGE)
        if isinstance(one, ValueNotSecretException):
            text = f"{one.key} must not be in {one.provider_name}. Move it to .dlt/secrets.toml or the environment."
            return Failure("config", text, WRONG_USAGE)
        if isinstance(one, ConfigurationException):
            return Failure("config", _first_paragraph(one), WRONG_USAGE)
        if isinstance(one, ExternalSchedulerNotAvailable):
            return Failure("config", NO_INTERVAL, WRONG_USAGE)
    for one in _chain(error):
        if isinstance(one, DatabaseException | DestinationException) or driver_messages.of_driver(one):
            return Failure("destination", _destination(one), FAILED)
    for one in _chain(error):
        if isinstance(one, OSError) and _is_of_dlt(one):
            return Failure("internal", _working_folder(one), FAILED)
    step = next((one for one in _chain(error) if isinstance(one, PipelineStepFailed)), None)
    cause = list(_chain(error))[-1]
    if step is not None and step.step in ("load", "sync"):
        return Failure("destination", _destination(cause), FAILED)
    if isinstance(cause, OSError) and cause.errno in FULL:
        text = f"{cause.strerror}. Make room, also in {get_dlt_pipelines_dir()}, where dlt keeps what it works on."
        return Failure("internal", f"{text} Then run this again.", FAILED)
    return Failure("internal", f"{type(cause).__name__}: {_first_paragraph(cause)} Run again with --verbose.", FAILED)


def _invalid_toml(error: TomlProviderReadException) -> str:
    text = _first_paragraph(error)
    if any(_has_backslash(Path(path)) for path in error.full_paths):
        text += " Write Windows paths in single quotes: 'C:\\backup\\warehouse.duckdb'."
    return text


def _has_backslash(path: Path) -> bool:
    try:
        return re.search(r'"[^"\n]*\\[^"\n]*"', path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def _is_of_dlt(error: OSError) -> bool:
    """Whether what this machine refused has to do with dlt's folder: a destination's files lie elsewhere."""
    return bool(error.filename) and Path(str(error.filename)).is_relative_to(get_dlt_pipelines_dir())


def _working_folder(error: OSError) -> str:
    return (
        f"{error.strerror}: {error.filename}. dlt keeps there what it works on. Make room, and let this user write "
        "there, or name another folder in DLT_DATA_DIR; then run this again. The warehouse is as it was."
    )


def _contract(error: DataValidationError) -> str:
    held = error.table_schema["columns"][error.column_name]
    return (
        f"Column {error.column_name} of table {error.table_name} would no longer be of the type {held['data_type']} "
        "that it has in the warehouse. Columns and their types are a promise, so nothing was written. Load into "
        "another dataset with --dataset, and please report this."
    )


def _extra_missing(module: str) -> str:
    package = module.split(".")[0]
    return f"{package} is not installed. Run: pip install 'avepoint-m365-jobs[{EXTRA_OF_MODULE[package]}]'"


def _not_installed(error: MissingDependencyException) -> str:
    extra = next((ours for word, ours in EXTRAS.items() if any(word in one for one in error.dependencies)), None)
    cure = f"pip install 'avepoint-m365-jobs[{extra}]'" if extra else f"pip install {' '.join(error.dependencies)}"
    return f"{error.caller} needs a package that is not installed. Run: {cure}"


def _missing(error: ConfigFieldMissingException) -> str:
    names = ", ".join(_lacking(error.traces))
    return (
        f"The configuration of {error.spec_name} lacks {names}. Set it in .dlt/secrets.toml, in .dlt/config.toml or in "
        "the environment; --verbose lists the names that were tried."
    )


def _lacking(traces: FieldLookupTraces) -> Iterator[str]:
    """The fields that have no value; of one that has fields itself those of them, unless it may be of several forms,
    which lack different ones."""
    for field, tried in traces.items():
        match tried:
            case [LookupTraces(traces=inner)]:
                yield from (f"{field}.{one}" for one in _lacking(inner))
            case _:
                yield field


def _of_another_type(error: ConfigValueCannotBeCoercedException) -> str:
    value = f"{error.field_value!r}" if "secret" not in str(error.hint).lower() else "the value"
    name = getattr(error.hint, "__name__", str(error.hint))
    # dlt does not say of which section it is: of the source's, of a destination's, or one of its own.
    ours = error.field_name.startswith("tenants.") or error.field_name in inspect.signature(avepoint_m365).parameters
    return f"{SECTION + '.' if ours else ''}{error.field_name} = {value} is not {TYPES.get(name, name)}."


def _first_paragraph(error: BaseException) -> str:
    text = str(error).strip().split("\n\n")[0]
    return re.sub(r"\s+", " ", text)[:500]


def _inner(error: BaseException) -> BaseException | None:
    """The refusal that an error of dlt's is made from; none where it is one itself."""
    if isinstance(error, LoadClientJobException):
        return error.client_exception
    if isinstance(error, DestinationConnectionError):
        return error.inner_exc
    cause = error.__cause__
    ours = isinstance(cause, DatabaseException | DestinationException)
    return cause if cause and (ours or driver_messages.of_driver(cause)) else None


def _destination(error: BaseException) -> str:
    # What dlt says around the driver's own words is of no use to the user, or a traceback.
    while inner := _inner(error):
        error = inner
    return driver_messages.explain_driver_message(_first_paragraph(error))
