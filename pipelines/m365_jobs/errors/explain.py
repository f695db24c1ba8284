"""Turn any error into one readable paragraph, a kind for ``load_runs`` and an exit code."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from avepoint_m365.exceptions import InterruptedLoadError, SourceError
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
    InvalidNativeValue,
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
    INTERRUPTED,
    WRONG_USAGE,
    NotificationError,
    QueryError,
    UsageError,
    WarehouseError,
)
from m365_jobs.errors.settings_messages import (
    EXTRA_OF_MODULE,
    extra_missing,
    fields_missing,
    first_paragraph,
    invalid_toml,
    package_missing,
    value_not_parsed,
    value_not_secret,
    value_of_another_type,
)

NO_INTERVAL = (
    "No interval: DLT_ALLOW_EXTERNAL_SCHEDULERS expects an interval from a scheduler, which set none. Set both "
    "DLT_INTERVAL_START and DLT_INTERVAL_END, or unset all three to load new jobs."
)

OS_CURES = {
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "Raise the limit of open files (ulimit -n 4096, or LimitNOFILE= in systemd), or lower concurrency.",
    ),
    **dict.fromkeys(
        (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS),
        "The file system supports no locks, as many network shares. Name a local folder in DLT_DATA_DIR.",
    ),
}
"""Errors of the operating system with the same cure wherever they occur."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk, or of a file that must not grow."""


class Failure(NamedTuple):
    """Hold the explanation of a failure."""

    kind: str
    """A value of ``load_runs.error_kind``, or query."""
    text: str
    exit_code: int

    @property
    def retry_may_help(self) -> bool:
        """Return whether the same load may succeed later although the user changes nothing."""
        return self.exit_code != WRONG_USAGE and self.kind not in ("auth", "permission")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def explain(error: BaseException) -> Failure:
    """Return the explanation of an error: one paragraph with the problem, its place and the cure.

    It contains no secret: errors of the source have none, and only known parts of other errors are used.
    """
    chain = list(_chain(error))
    if any(isinstance(link, KeyboardInterrupt | InterruptedLoadError) for link in chain):
        # dlt wraps an interruption as a failure of its current step.
        return Failure("internal", "Interrupted.", INTERRUPTED)
    for explained in (_of_known_type(chain), _of_destination(chain), _of_disk(chain)):
        if explained is not None:
            return explained
    # A library may have handled an error without a text, such as StopIteration, when the cause was raised.
    cause = next((link for link in reversed(chain) if str(link)), chain[-1])
    text = f"{type(cause).__name__}: {first_paragraph(cause)}".rstrip(".: ")
    return Failure("internal", f"{text}. Run again with --verbose.", FAILED)


def _of_known_type(chain: Sequence[BaseException]) -> Failure | None:
    """Return the failure of the first error in a chain with a known type or errno; None without one."""
    for link in chain:
        if isinstance(link, OSError) and link.errno in OS_CURES:
            path = f": {link.filename}" if link.filename else ""
            return Failure("internal", f"{link.strerror}{path}. {OS_CURES[link.errno]} Then run this again.", FAILED)
        if isinstance(link, ModuleNotFoundError) and str(link.name).split(".")[0] in EXTRA_OF_MODULE:
            return Failure("config", extra_missing(str(link.name)), WRONG_USAGE)
        for known, make in EXPLANATIONS:
            if isinstance(link, known):
                return make(link)
    return None


def _of_destination(chain: Sequence[BaseException]) -> Failure | None:
    """Return the failure of a destination or of its driver; None for any other."""
    for link in chain:
        if isinstance(link, DatabaseException | DestinationException) or driver_messages.of_driver(link):
            return Failure("destination", _destination(link), FAILED)
    return None


def _of_disk(chain: Sequence[BaseException]) -> Failure | None:
    """Return the failure of a file system, or of dlt's step that writes to the destination; None for any other."""
    for link in chain:
        if isinstance(link, OSError) and _is_of_dlt(link):
            return Failure("internal", _working_folder(link), FAILED)
    step = next((link for link in chain if isinstance(link, PipelineStepFailed)), None)
    cause = chain[-1]
    if step is not None and step.step in ("load", "sync"):
        return Failure("destination", _destination(cause), FAILED)
    if isinstance(cause, OSError) and cause.errno in FULL:
        text = f"{cause.strerror}. Free space, also in {get_dlt_pipelines_dir()}, dlt's working folder."
        return Failure("internal", f"{text} Then run this again.", FAILED)
    return None


def _of_source(error: SourceError) -> Failure:
    return Failure(error.kind, str(error), WRONG_USAGE if error.kind == "config" else FAILED)


def _usage(text: Callable[[Any], str]) -> Callable[[Any], Failure]:
    return lambda error: Failure("config", text(error), WRONG_USAGE)


def _failed(kind: str, text: Callable[[Any], str] = str) -> Callable[[Any], Failure]:
    return lambda error: Failure(kind, text(error), FAILED)


def _is_of_dlt(error: OSError) -> bool:
    """Return whether an error of this machine concerns dlt's folder; a destination's files lie elsewhere."""
    return bool(error.filename) and Path(str(error.filename)).is_relative_to(get_dlt_pipelines_dir())


def _working_folder(error: OSError) -> str:
    return (
        f"{error.strerror}: {error.filename}, in dlt's working folder. Free space, and let this user write there, or "
        "name another folder in DLT_DATA_DIR; then run this again. The warehouse is unchanged."
    )


def _contract(error: DataValidationError) -> str:
    stored = error.table_schema["columns"][error.column_name]
    return (
        f"Type changed: column {error.column_name} of table {error.table_name} would no longer be of the type "
        f"{stored['data_type']} that it has in the warehouse. Types are part of the contract, so nothing was written. "
        "Load into another dataset with --dataset, and please report this."
    )


def _inner(error: BaseException) -> BaseException | None:
    """Return the destination's error that an error of dlt wraps; None without one."""
    if isinstance(error, LoadClientJobException):
        return error.client_exception
    if isinstance(error, DestinationConnectionError):
        return error.inner_exc
    cause = error.__cause__
    is_of_dlt = isinstance(cause, DatabaseException | DestinationException)
    return cause if cause and (is_of_dlt or driver_messages.of_driver(cause)) else None


def _destination(error: BaseException) -> str:
    # dlt wraps the driver's message in texts without use for the user, such as tracebacks.
    while inner := _inner(error):
        error = inner
    return driver_messages.explain_driver_message(first_paragraph(error))


EXPLANATIONS: tuple[tuple[type[BaseException], Callable[[Any], Failure]], ...] = (
    (TomlProviderReadException, _usage(invalid_toml)),
    (SourceError, _of_source),
    (QueryError, lambda error: Failure("query", str(error), error.exit_code)),
    (UsageError, _usage(str)),
    (WarehouseError, _failed("destination")),
    (DataValidationError, _failed("destination", _contract)),
    (MissingDependencyException, _usage(package_missing)),
    (NotificationError, _failed("notification")),
    (ConfigFieldMissingException, _usage(fields_missing)),
    (ConfigValueCannotBeCoercedException, _usage(value_of_another_type)),
    (ValueNotSecretException, _usage(value_not_secret)),
    (InvalidNativeValue, _usage(value_not_parsed)),
    (ConfigurationException, _usage(first_paragraph)),
    (ExternalSchedulerNotAvailable, _usage(lambda _: NO_INTERVAL)),
)
"""Types of errors, each with the function that explains it; the first matching type counts."""
