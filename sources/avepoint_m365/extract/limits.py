"""Learn the limits of the ranges that the server accepts: their length, and their earliest start."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from avepoint_m365.exceptions import GatewayTimeoutError, RefusedParametersError, SourceError
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import DAY, Selection, Window
from avepoint_m365.text import format_count

logger = logging.getLogger(__name__)

RANGE_LENGTHS = tuple(timedelta(days=days) for days in (366, 183, 92, 31, 28, 7, 1))
"""Lengths of a range that are tried if the server refuses a longer one and names no limit."""

REFUSALS = (RefusedParametersError, GatewayTimeoutError)

_LENGTH = re.compile(r"(\d{1,4})\s*(day|month|year)", re.IGNORECASE)
_DAYS = {"day": 1, "month": 28, "year": 365}


@dataclass
class RangeLimits:
    """Hold the limits of ranges that the server accepts; a load fills them while it reads.

    Attributes:
        longest: The longest range that the server answers in full; None while no limit is known.
        earliest: The earliest start that the server accepts (UTC); None while no limit is known.
    """

    longest: timedelta | None = None
    earliest: datetime | None = None

    @property
    def days(self) -> float | None:
        """Return the longest range in days; None while no limit is known."""
        return self.longest / DAY if self.longest else None


def _named_length(refusal: SourceError) -> timedelta | None:
    """Return the length of a range that the text of a refusal names, such as "30 days"; None without one."""
    named = _LENGTH.search(getattr(refusal, "message", None) or str(refusal))
    return timedelta(days=int(named[1]) * _DAYS[named[2].lower()]) if named else None


def _accepts(reader: ListingReader, window: Window) -> bool:
    try:
        reader.probe(Selection(window))
    except REFUSALS:
        return False
    return True


def find_longest_range(reader: ListingReader, window: Window, refusal: SourceError) -> timedelta:
    """Return the longest range that the server accepts; each length is tried at the end of the refused window.

    Raises:
        SourceError: the refusal, if a range of a day is refused as well.
    """
    named = _named_length(refusal)
    for length in [named, *RANGE_LENGTHS] if named else RANGE_LENGTHS:
        if timedelta(0) < length < window.length and _accepts(reader, window.since(window.query_end - length)):
            logger.info(
                f"Long range refused: {format_count(window.length.days, 'day')}. "
                f"Reading in ranges of {format_count(length.days, 'day')}."
            )
            return length
    raise refusal


def find_earliest_start(
    reader: ListingReader, window: Window, limits: RangeLimits, now: datetime, refusal: SourceError
) -> datetime:
    """Return the earliest start that the server accepts, to the day.

    Args:
        reader: Sends the probes.
        window: The range whose first part was refused although it is short enough.
        limits: The limits known so far; ``longest`` is set.
        now: The time from which the server counts back (UTC).
        refusal: The error of the refused range.

    Raises:
        SourceError: the refusal, if the newest range is refused as well.
    """
    length = limits.longest or window.length
    refused, accepted = window.query_start, max(window.query_end - length, window.query_start)
    named = _named_length(refusal)
    start = now - named + timedelta(minutes=1) if named else refused
    if refused < start < window.query_end and _accepts(
        reader, window.since(start).until(min(start + length, window.query_end))
    ):
        accepted, refused = start, max(refused, start - DAY)
    if accepted == window.query_start:
        raise refusal
    while accepted - refused > DAY:
        middle = refused + (accepted - refused) / 2
        if _accepts(reader, window.since(middle).until(min(middle + length, window.query_end))):
            accepted = middle
        else:
            refused = middle
    logger.warning(
        f"Short history: the API refuses a start before {accepted:%Y-%m-%d} UTC. Set start_date to that day to save "
        "requests."
    )
    return accepted
