"""What a time without a zone means, for all who read one."""

from __future__ import annotations

from datetime import UTC, datetime


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC, which it is taken for where it has no zone.

    Raises:
        OverflowError: where that lies outside the years 1 to 9999.
    """
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
