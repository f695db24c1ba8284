"""Learn which ranges the server accepts: how long, and how old their start."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from avepoint_m365.exceptions import GatewayTimeoutError, RefusedParametersError, SourceError
from avepoint_m365.extract.listing import ListingReader
from avepoint_m365.extract.window import Selection, Window
from avepoint_m365.plural import format_count

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)

RANGE_LENGTHS = tuple(timedelta(days=days) for days in (366, 183, 92, 31, 28, 7, 1))
"""Lengths of a range that are tried if the server refuses a longer one without a number of days."""

REFUSALS = (RefusedParametersError, GatewayTimeoutError)

_LENGTH = re.compile(r"(\d{1,4})\s*(day|month|year)", re.IGNORECASE)
_DAYS = {"day": 1, "month": 28, "year": 365}


@dataclass
class RangeLimits:
    """Hold the limits of ranges that the server accepts; learned while a load reads.

    Attributes:
        longest: The longest range that is answered in full; None if no limit is known.
        earliest: The earliest start that is accepted (UTC); None if no limit is known.
    """

    longest: timedelta | None = None
    earliest: datetime | None = None

    @property
    def days(self) -> float | None:
        """Return the longest range in days."""
        return self.longest / DAY if self.longest else None


def _named_length(refusal: SourceError) -> timedelta | None:
    """Return the length that a refusal names, such as "30 days"."""
    named = _LENGTH.search(getattr(refusal, "message", None) or str(refusal))
    return timedelta(days=int(named[1]) * _DAYS[named[2].lower()]) if named else None


def _accepts(reader: ListingReader, window: Window) -> bool:
    try:
        reader.probe(Selection(window))
    except REFUSALS:
        return False
    return True


def find_longest_range(reader: ListingReader, window: Window, refusal: SourceError) -> timedelta:
    """Return the longest range that the server accepts, tried at the end of a window that it refused.

    Raises:
        SourceError: the refusal, if a range of a day is refused as well.
    """
    lengths = [*filter(None, [_named_length(refusal)]), *RANGE_LENGTHS]
    for length in lengths:
        if timedelta(0) < length < window.length and _accepts(reader, window.since(window.asked_end - length)):
            refused, shorter = format_count(window.length.days, "day"), format_count(length.days, "day")
            logger.info(f"Long range refused: {refused}. Asking in ranges of {shorter}.")
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
        now: The time that the server counts from (UTC).
        refusal: What the server answered.

    Raises:
        SourceError: the refusal, if the newest range is refused as well.
    """
    length = limits.longest or window.length
    refused, accepted = window.begin, max(window.asked_end - length, window.begin)
    named = _named_length(refusal)
    start = now - named + timedelta(minutes=1) if named else refused
    if refused < start < window.asked_end and _accepts(
        reader, window.since(start).until(min(start + length, window.asked_end))
    ):
        accepted, refused = start, max(refused, start - DAY)
    if accepted == window.begin:
        raise refusal
    while accepted - refused > DAY:
        middle = refused + (accepted - refused) / 2
        if _accepts(reader, window.since(middle).until(min(middle + length, window.asked_end))):
            accepted = middle
        else:
            refused = middle
    logger.warning(
        f"History begins late: the API shows jobs from {accepted:%Y-%m-%d} UTC on and refuses an earlier start. Set "
        "start_date to that day to save requests."
    )
    return accepted
