"""Parse the interval of a scheduled command, and format it for each scheduler."""

from __future__ import annotations

import re
from dataclasses import dataclass

from m365_jobs.errors.exceptions import UsageError


@dataclass(frozen=True)
class Every:
    """Describe the interval of a scheduled command. Times of the day are UTC."""

    words: str
    cron: str
    systemd: str
    windows: str
    hours: float
    at_an_hour: bool
    """Whether the command runs at certain hours of a day, so that the time zone matters."""


def parse_every(text: str, *, later: bool = False) -> Every:
    """Return the interval of ``15m``, ``6h`` or ``daily 02:00``: parts that divide an hour or a day, as cron needs it.

    With ``later``, it begins half an interval, or half an hour, after the one that the text names.

    Raises:
        UsageError: for anything else.
    """
    if (match := re.fullmatch(r"([1-9]\d?)m", text)) and 60 % (count := int(match[1])) == 0 and count < 60:
        return _minutes(count, count // 2 if later else 0)
    if (match := re.fullmatch(r"([1-9]\d?)h", text)) and 24 % (count := int(match[1])) == 0 and count < 24:
        return _hours(count, 30 if later else 0)
    if match := re.fullmatch(r"daily ([01]\d|2[0-3]):([0-5]\d)", text):
        minutes = (int(match[1]) * 60 + int(match[2]) + (30 if later else 0)) % (24 * 60)
        return _daily(*divmod(minutes, 60))
    raise UsageError(
        f"Invalid interval: --every {text!r}. Write minutes that divide an hour (15m), hours that divide a day (6h), "
        "or 'daily 02:00' (UTC)."
    )


def _minutes(count: int, offset: int) -> Every:
    words = f"every {count} minutes" if count > 1 else "every minute"
    cron = f"{offset}-59/{count} * * * *" if offset else f"*/{count} * * * *"
    return Every(
        words, cron, f"*-*-* *:{offset}/{count}:00", _repeat(f"-Minutes {count}", offset), count / 60, at_an_hour=False
    )


def _hours(count: int, offset: int) -> Every:
    words = f"every {count} hours" if count > 1 else "every hour"
    systemd = f"*-*-* 0/{count}:{offset:02}:00 UTC"
    return Every(
        words, f"{offset} */{count} * * *", systemd, _repeat(f"-Hours {count}", offset), count, at_an_hour=count > 1
    )


def _daily(hour: int, minute: int) -> Every:
    time = f"{hour:02}:{minute:02}"
    windows = f"New-ScheduledTaskTrigger -Daily -At ([datetime]'2026-01-01T{time}:00Z')"
    return Every(f"daily at {time} UTC", f"{minute} {hour} * * *", f"*-*-* {time}:00 UTC", windows, 24, at_an_hour=True)


def _repeat(interval: str, offset: int) -> str:
    start = f"2026-01-01T00:{offset:02}:00Z"
    return f"New-ScheduledTaskTrigger -Once -At ([datetime]'{start}') -RepetitionInterval (New-TimeSpan {interval})"
