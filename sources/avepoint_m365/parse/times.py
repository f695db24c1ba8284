"""Define the meaning of a time without a zone, for all modules."""

from __future__ import annotations

from datetime import UTC, datetime


def in_utc(moment: datetime) -> datetime:
    """Return a time in UTC; without a zone it counts as UTC.

    Raises:
        OverflowError: if the result lies outside the years 1 to 9999.
    """
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
