"""Define maintenance windows: times at which no alert is sent. An alert that outlasts its window is sent after it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo

from avepoint_m365.config import parse_moment
from avepoint_m365.exceptions import ConfigurationError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

WEEKLY = re.compile(r"(daily|mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class MaintenanceWindow:
    """Describe a time range: once, or each week or day in a time zone."""

    start: datetime | None = None
    end: datetime | None = None
    day: str | None = None
    begins: time = time()
    ends: time = time()

    def contains(self, moment: datetime, zone: tzinfo) -> bool:
        """Return true if a moment lies within the window."""
        if self.start and self.end:
            return self.start <= moment < self.end
        local = moment.astimezone(zone)
        clock, overnight = local.time(), self.ends <= self.begins
        if overnight and clock < self.ends:
            # The window began the day before.
            return self._is_day(local - timedelta(days=1))
        return self._is_day(local) and self.begins <= clock and (overnight or clock < self.ends)

    def _is_day(self, moment: datetime) -> bool:
        return self.day in ("daily", DAYS[moment.weekday()])


@dataclass(frozen=True)
class Maintenance:
    """Hold the windows of all tenants and those of single tenants."""

    windows: Sequence[MaintenanceWindow] = ()
    of_tenant: Mapping[str, Sequence[MaintenanceWindow]] = field(default_factory=dict)

    def holds(self, tenant: str | None, moment: datetime, zone: tzinfo) -> bool:
        """Return true if a window of the tenant contains the moment."""
        windows = [*self.windows, *self.of_tenant.get(tenant or "", ())]
        return any(window.contains(moment, zone) for window in windows)


def parse_maintenance_window(text: str, key: str) -> MaintenanceWindow:
    """Return the window of ``2026-12-24T18:00/2026-12-26T06:00``, ``sat 22:00-06:00`` or ``daily 01:00-03:00``.

    Raises:
        ConfigurationError: for any other text.
    """
    if weekly := WEEKLY.fullmatch(text.strip().lower()):
        day, begin_hour, begin_minute, end_hour, end_minute = weekly.groups()
        begins, ends = time(int(begin_hour), int(begin_minute)), time(int(end_hour), int(end_minute))
        return MaintenanceWindow(day=day, begins=begins, ends=ends)
    start, slash, end = text.partition("/")
    if not slash:
        raise ConfigurationError(
            f"{key}: {text!r} is not a maintenance window. Write START/END, 'sat 22:00-06:00' or 'daily 01:00-03:00'."
        )
    begin, finish = parse_moment(key, start.strip()), parse_moment(key, end.strip())
    if finish <= begin:
        raise ConfigurationError(f"{key}: {text!r} ends before it begins. Swap the two times.")
    return MaintenanceWindow(begin, finish)
