"""Interpret the cursors of resources, which users' hints and external schedulers may replace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

import dlt

from avepoint_m365.config import EARLIEST, parse_moment
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract.window import Interval
from avepoint_m365.schema import CURSOR

Cursor: TypeAlias = "dlt.sources.incremental[Any]"
"""dlt's cursor of a partition. A user's hint may give its values as texts or dates, or give none."""


def refuse_unsupported(cursor: Cursor) -> None:
    """Refuse a user's hint that the source cannot follow.

    Raises:
        ConfigurationError: for another column than ``finish_time``, and for a lag.
    """
    if cursor.cursor_path != CURSOR:
        raise ConfigurationError(
            f"Unsupported cursor: apply_hints(incremental=...) of {cursor.resource_name} names {cursor.cursor_path!r}. "
            f"Name {CURSOR!r}."
        )
    if cursor.lag:
        raise ConfigurationError(
            f"Unsupported lag: apply_hints(incremental=...) of {cursor.resource_name} sets lag. Set lag_hours of the "
            "source."
        )


def shared_interval(cursors: Sequence[Cursor]) -> Interval | None:
    """Return the range (UTC) of an external scheduler or of the user's hints; None without a range.

    Raises:
        ConfigurationError: if the ranges differ, since a single extraction reads for all resources.
    """
    intervals = [
        (cursor_moment(cursor.start_value), cursor_moment(cursor.end_value)) if cursor.end_value else None
        for cursor in cursors
    ]
    for cursor, interval in zip(cursors, intervals, strict=True):
        if interval != intervals[0]:
            raise ConfigurationError(
                f"Different ranges: apply_hints(incremental=...) gives {cursor.resource_name} another range than "
                f"{cursors[0].resource_name}. Give all resources the same end_value and initial_value, or run one of "
                "them by with_resources."
            )
    return intervals[0] if intervals else None


def earliest_start(cursors: Sequence[Cursor], default: datetime) -> datetime:
    """Return the earliest initial value (UTC) of cursors; a cursor without one has ``default``."""
    return min((cursor_moment(cursor.initial_value, default) for cursor in cursors), default=default)


def cursor_moment(value: str | date | None, missing: datetime = EARLIEST) -> datetime:
    """Return a time of a cursor in UTC, or ``missing`` if the user's hint gives none; a hint may give texts."""
    return missing if value is None else parse_moment("initial_value or end_value of the incremental", value)
