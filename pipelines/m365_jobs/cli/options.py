"""Define options that commands share, and print failures."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """List the forms of printed rows."""

    table = "table"
    json = "json"


class RowFormat(StrEnum):
    """List the forms of the rows of a query."""

    table = "table"
    csv = "csv"
    json = "json"


class Scheduler(StrEnum):
    """List the schedulers for which ``schedule`` prints a configuration."""

    systemd = "systemd"
    cron = "cron"
    kubernetes = "kubernetes"
    windows = "windows"


def parse_time_option(option: str, text: str | None) -> datetime | None:
    """Return the value of an option as a time; None if it is unset."""
    from avepoint_m365.config import parse_moment

    return None if text is None else parse_moment(option, text)


Destination = Annotated[
    str | None, typer.Option(help="Name of any dlt destination; the configured one, or duckdb, if unset.")
]
Dataset = Annotated[str | None, typer.Option(help="Dataset (schema) in the destination; m365_jobs if unset.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the traceback of a failure, and dlt's log.")]
Since = Annotated[
    str | None,
    typer.Option(help="Backfill from this date or time on, leaving the cursors alone. UTC without a zone."),
]
Until = Annotated[
    str | None,
    typer.Option(help="End of the backfill; now if unset or in the future. UTC without a zone."),
]


Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", help="A tenant of the configuration; may be given several times.")
]
OnlyTenants = Annotated[
    list[str] | None, typer.Option("--tenant", help="Only this tenant; may be given several times. All if unset.")
]
AllTenants = Annotated[
    bool,
    typer.Option("--all-tenants", help="All configured tenants that no other worker is loading."),
]
SkipLoadedWithin = Annotated[
    str | None,
    typer.Option(help="With --all-tenants: skip tenants whose last load, on any worker, ended within this time: 10m."),
]
ParallelTenants = Annotated[
    int, typer.Option(min=1, help="Tenants that are loaded at once; each API host has a limit as well.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse unknown settings with exit code 2 instead of a warning.")
]
Wait = Annotated[
    float,
    typer.Option(min=0, help="Seconds to wait while a load writes into a DuckDB file. Example: --wait 120"),
]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, help="The most requests in flight for each API host; the configured number, or 8, if unset."),
]


Include = Annotated[
    list[str] | None,
    typer.Option(
        help="Request a companion as well, such as schedule; context for all companions, none for no companion. "
        "May be given several times. The setting include if unset."
    ),
]

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

LONGEST = 10_000 * SECONDS["d"]
"""The longest duration in seconds: a time that lies further away may be none."""


def duration(option: str, text: str | None) -> timedelta:
    """Return a duration such as 90s, 10m, 2h or 1d; zero if unset.

    Raises:
        typer.BadParameter: for anything else, and above 10,000 days.
    """
    if text is None:
        return timedelta()
    match = DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * SECONDS[match[2]] if match else 0.0
    if not match or seconds > LONGEST:
        raise typer.BadParameter(
            f"{text!r} is not a duration of at most 10,000 days. Write 90s, 10m, 2h or 1d.", param_hint=option
        )
    return timedelta(seconds=seconds)


def check_settings(*, strict: bool) -> None:
    """Print warnings about unknown settings, and about credentials that several tenants use, to stderr.

    Raises:
        ConfigurationError: in place of warnings, with ``strict``.
    """
    from avepoint_m365.exceptions import ConfigurationError

    from m365_jobs.config.shared_credentials import shared_credentials
    from m365_jobs.config.unknown_settings import unknown_settings
    from m365_jobs.terminal import print_line

    messages = [*unknown_settings(), *shared_credentials()]
    if messages and strict:
        raise ConfigurationError(" ".join(messages))
    for message in messages:
        print_line(f"Warning: {message}")


@contextmanager
def failures(verbose: bool, interrupted: str = "") -> Iterator[None]:
    """Clean the configuration, run the block, and turn a failure into one paragraph on stderr and an exit code.

    ``interrupted`` is the message after Ctrl+C and SIGTERM.
    """
    try:
        from m365_jobs.config import environment
        from m365_jobs.terminal import print_line
        from m365_jobs.warehouse import pipeline as warehouse

        environment.clean(print_line)
        warehouse.set_log_level("INFO" if verbose else "CRITICAL")
        yield
    except (typer.Exit, typer.BadParameter, BrokenPipeError, SystemExit):
        raise  # rich raises SystemExit if the reader of its output has ended.
    except BaseException as error:
        raise typer.Exit(print_failure(error, verbose, interrupted)) from None


def print_failure(error: BaseException, verbose: bool, interrupted: str = "") -> int:
    """Print a failure as one paragraph on stderr, and return the exit code of its kind."""
    from m365_jobs.cli import lifetime
    from m365_jobs.stderr import write_stderr

    if verbose:
        logging.getLogger("m365_jobs").error("The traceback of the failure:", exc_info=error)
    # Ctrl+C may have ended an import of dlt halfway, and these modules import dlt as well.
    if not isinstance(error, KeyboardInterrupt):
        from m365_jobs.errors.exceptions import INTERRUPTED
        from m365_jobs.errors.explain import explain
        from m365_jobs.terminal import print_line

        failure = explain(error)
        if failure.exit_code != INTERRUPTED:
            print_line(f"Error ({failure.kind}): {failure.text}")
            return failure.exit_code
    message, exit_code = lifetime.interruption(interrupted or "Interrupted.")
    write_stderr(f"{message}\n")
    return exit_code
