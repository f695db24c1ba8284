"""Define maintenance windows, in which no alert is sent. An alert that is open after its window is sent then."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo

from avepoint_m365.config import parse_moment
from avepoint_m365.exceptions import ConfigurationError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

RECURRING = re.compile(r"(daily|mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class MaintenanceWindow:
    """Describe a time range: once from ``start`` to ``end``, or each week or day in a time zone."""

    start: datetime | None = None
    end: datetime | None = None
    """Outside the window."""
    day: str | None = None
    """One of ``DAYS``, or daily; None for a single window."""
    start_time: time = time()
    end_time: time = time()
    """On the next day if it is not after ``start_time``."""

    def contains(self, moment: datetime, zone: tzinfo) -> bool:
        """Return True if a time lies within the window. ``zone`` is that of the tenant, for recurring windows."""
        if self.start and self.end:
            return self.start <= moment < self.end
        local = moment.astimezone(zone)
        local_time, is_overnight = local.time(), self.end_time <= self.start_time
        if is_overnight and local_time < self.end_time:
            # The window began the day before.
            return self._is_day(local - timedelta(days=1))
        return self._is_day(local) and self.start_time <= local_time and (is_overnight or local_time < self.end_time)

    def _is_day(self, moment: datetime) -> bool:
        return self.day in ("daily", DAYS[moment.weekday()])


@dataclass(frozen=True)
class Maintenance:
    """Hold the windows of all tenants and those of single tenants."""

    windows: Sequence[MaintenanceWindow] = ()
    by_tenant: Mapping[str, Sequence[MaintenanceWindow]] = field(default_factory=dict)

    def is_active(self, tenant: str | None, moment: datetime, zone: tzinfo) -> bool:
        """Return True if a window of a tenant or of all contains a time. ``zone`` is the tenant's."""
        windows = [*self.windows, *self.by_tenant.get(tenant or "", ())]
        return any(window.contains(moment, zone) for window in windows)


def parse_maintenance_window(text: str, key: str) -> MaintenanceWindow:
    """Return the window of ``2026-12-24T18:00/2026-12-26T06:00``, ``sat 22:00-06:00`` or ``daily 01:00-03:00``.

    ``key`` is the configuration key, for messages.

    Raises:
        ConfigurationError: for any other text.
    """
    if match := RECURRING.fullmatch(text.strip().lower()):
        day, begin_hour, begin_minute, end_hour, end_minute = match.groups()
        start_time, end_time = time(int(begin_hour), int(begin_minute)), time(int(end_hour), int(end_minute))
        return MaintenanceWindow(day=day, start_time=start_time, end_time=end_time)
    start_text, slash, end_text = text.partition("/")
    if not slash:
        raise ConfigurationError(
            f"{key}: {text!r} is not a maintenance window. Write START/END, 'sat 22:00-06:00' or 'daily 01:00-03:00'."
        )
    start, end = parse_moment(key, start_text.strip()), parse_moment(key, end_text.strip())
    if end <= start:
        raise ConfigurationError(f"{key}: {text!r} ends before it begins. Swap the two times.")
    return MaintenanceWindow(start, end)
