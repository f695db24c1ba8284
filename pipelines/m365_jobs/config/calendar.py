"""Read the time zone and backup window of a tenant, which define a day and last night in charts and reports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dlt
from avepoint_m365.config import SECTION
from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.config.tenants import TENANTS, configured_with, setting

WINDOW = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*(?:-|–|to)\s*([01]?\d|2[0-3]):([0-5]\d)")
DAY = timedelta(days=1)
OF_ONE_MACHINE = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Names and folders of time zones on this machine that a warehouse does not know, or understands differently."""


class BackupWindow(NamedTuple):
    """Describe the hours of a day in which backups start, such as 22:00-06:00, in the tenant's time zone."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}–{self.end:%H:%M}"

    def last(self, until: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return start and end (UTC) of the last window whose first half is over at ``until``.

        A report in the second half of a window shows that window; in the first half it shows the night before.
        """
        day = until.astimezone(zone).date() + DAY
        while True:
            # Local times: on the days of 23 and 25 hours, the window keeps its times of day.
            start = datetime.combine(day, self.start, zone).astimezone(UTC)
            end = datetime.combine(day + (DAY if self.end <= self.start else timedelta()), self.end, zone)
            end = end.astimezone(UTC)
            if start + (end - start) / 2 <= until:
                return start, end
            day -= DAY


class TenantCalendar(NamedTuple):
    """Hold the time zone of a tenant's days, and the backup window of its nights."""

    zone: tzinfo = UTC
    window: BackupWindow | None = None

    @property
    def zone_name(self) -> str:
        """Return the IANA name of the time zone."""
        return zone_name(self.zone)


def zone_name(zone: tzinfo) -> str:
    """Return the IANA name of a time zone."""
    return str(getattr(zone, "key", None) or "UTC")


def parse_zone(name: str, key: str) -> tzinfo:
    """Return a time zone by its IANA name, such as Europe/Berlin; ``key`` names the setting in errors.

    Raises:
        ConfigurationError: for an unknown name.
    """
    try:
        if name.startswith(OF_ONE_MACHINE):
            raise ValueError(name)
        return UTC if name.upper() == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"Unknown time zone: {key}: time zone {name!r} is unknown. Write a name such as Europe/Berlin or UTC."
        ) from error


def parse_backup_window(text: str, key: str) -> BackupWindow:
    """Return a backup window such as 22:00-06:00; ``key`` names the setting in errors.

    Raises:
        ConfigurationError: for any other text.
    """
    match = WINDOW.fullmatch(text.strip())
    if not match:
        raise ConfigurationError(
            f"Invalid backup window: {key}: {text!r} is not a backup window. Write two times such as 22:00-06:00."
        )
    hours = [int(part) for part in match.groups()]
    return BackupWindow(time(hours[0], hours[1]), time(hours[2], hours[3]))


def tenant_calendar(tenant: str) -> TenantCalendar:
    """Return the calendar of a tenant: its own settings, else those of the section above, else UTC without a window.

    Raises:
        ConfigurationError: for an unknown time zone or an invalid backup window.
    """
    return TenantCalendar(_zone(tenant), _window(tenant))


def tenant_zones() -> Mapping[str, str]:
    """Return the names of time zones: that of each tenant with a zone of its own, and at '' that of all others.

    An unknown time zone counts as unset, so that the views of other tenants stay correct. The load of its tenant
    reports it.
    """
    shared = _zone_name_of("", "UTC")
    zones = {name: _zone_name_of(name, shared) for name in configured_with("timezone")}
    return {"": shared, **{name: zone for name, zone in zones.items() if zone != shared}}


def _zone_name_of(tenant: str, otherwise: str) -> str:
    try:
        return zone_name(_zone(tenant))
    except ConfigurationError:
        return otherwise


def common_calendar(tenants: Sequence[str]) -> TenantCalendar:
    """Return the calendar that all these tenants share; UTC without a window if they differ.

    An invalid setting of one among several tenants counts as different, so that a report of all is written.

    Raises:
        ConfigurationError: for an unknown time zone or an invalid backup window of a single tenant.
    """
    try:
        calendars = {tenant_calendar(tenant) for tenant in tenants}
    except ConfigurationError:
        if len(tenants) == 1:
            raise
        return TenantCalendar()
    return calendars.pop() if len(calendars) == 1 else TenantCalendar()


def _zone(tenant: str) -> tzinfo:
    zone = _text(tenant, "timezone")
    return parse_zone(zone, _key_of(tenant, "timezone")) if zone else UTC


def _window(tenant: str) -> BackupWindow | None:
    window = _text(tenant, "backup_window")
    return parse_backup_window(window, _key_of(tenant, "backup_window")) if window else None


def _key_of(tenant: str, key: str) -> str:
    """Return the full name of a key in the section that sets it: that of the tenant, or the one above."""
    is_own = tenant and setting(tenant, key, str) is not None
    return f"{TENANTS}.{tenant}.{key}" if is_own else f"{SECTION}.{key}"


def _text(tenant: str, key: str) -> str | None:
    value = setting(tenant, key, str) if tenant else None
    value = dlt.config.get(f"{SECTION}.{key}") if value is None else value
    return None if value is None else str(value).strip()
