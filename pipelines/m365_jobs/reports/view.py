"""Define the filters of a page or report: tenant, location, service, period and time zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.config.calendar import BackupWindow, parse_zone, zone_name

NO_LOCATION = ""
"""Value of the location filter for jobs without a location."""

UNKNOWN_SERVICE = "unknown"
"""Value of the service filter for jobs of an unknown service."""

PERIODS = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year"}
"""Number of days to the name of the period."""

MAX_DAYS_BACK = 3650
"""Number of days that a URL can select at most."""

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Night:
    """Describe the last backup window, or the last 24 hours if a tenant has no window. Times are UTC."""

    since: datetime
    until: datetime
    window: BackupWindow | None = None

    @property
    def condition(self) -> str:
        """Return the SQL condition on a job ``f``: by its start in a window, by its finish in the last 24 hours."""
        if self.window:
            return "f.start_time >= :since AND f.start_time < :until AND f.finish_time IS NOT NULL"
        return "f.finish_time > :since AND f.finish_time <= :until"

    @property
    def values(self) -> dict[str, datetime]:
        """Return the values of the placeholders in ``condition``."""
        return {"since": self.since, "until": self.until}

    @property
    def previous(self) -> Night:
        """Return the same times one day earlier."""
        return replace(self, since=self.since - DAY, until=self.until - DAY)


@dataclass(frozen=True)
class Filter:
    """Describe the jobs that a page shows. ``TenantScope`` applies the tenants, ``condition`` the other filters."""

    tenants: tuple[str, ...] = ()
    """Empty for all tenants."""
    location: str | None = None
    """None for all locations, ``NO_LOCATION`` for jobs without one."""
    object_type: str | None = None
    """None for all services, ``UNKNOWN_SERVICE`` for jobs whose service is not known."""
    days: int = 30
    """Days before the end of the data that trends and errors cover."""
    zone: tzinfo = UTC
    """Time zone of times and days."""
    window: BackupWindow | None = None
    """Backup window of a night; None for the last 24 hours."""

    def condition(self, alias: str) -> str:
        """Return an SQL condition on the columns of a table or view ``alias``; ``values`` has its parameters."""
        # Translating SQL is slower than many queries. This text is the same for all filters, so it is translated once.
        return (
            f"(:everywhere = 1 OR coalesce({alias}.location, '') = :location) "
            f"AND (:all_types = 1 OR {alias}.object_type = :object_type "
            f"OR (:object_type = '{UNKNOWN_SERVICE}' AND {alias}.object_type IS NULL))"
        )

    def shared_location_condition(self, alias: str) -> str:
        """Return an SQL condition on the location alone; rows without one concern all locations and pass."""
        return f"(:everywhere = 1 OR {alias}.location IS NULL OR {alias}.location = :location)"

    def shared_condition(self, alias: str) -> str:
        """Return the condition for settings: rows without a location or service concern all of them and pass."""
        service = f"(:all_types = 1 OR {alias}.service IS NULL OR {alias}.object_type = :object_type)"
        return f"{self.shared_location_condition(alias)} AND {service}"

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Return True if a row passes the filters of tenant, location and object type whose columns it has."""
        expected = {"object_type": (self.object_type, UNKNOWN_SERVICE), "location": (self.location, NO_LOCATION)}
        return (not self.tenants or row["tenant"] in self.tenants) and all(
            value is None or name not in row or (row[name] or missing) == value
            for name, (value, missing) in expected.items()
        )

    @property
    def values(self) -> dict[str, Any]:
        """Return the values of the placeholders in ``condition``."""
        return {
            "everywhere": int(self.location is None),
            "location": self.location or NO_LOCATION,
            "all_types": int(self.object_type is None),
            "object_type": self.object_type or "",
        }

    @property
    def zone_name(self) -> str:
        """Return the IANA name of the time zone."""
        return zone_name(self.zone)

    def night(self, until: datetime) -> Night:
        """Return the last backup window at the time ``until`` (UTC), or the 24 hours before it."""
        if self.window is None:
            return Night(until - DAY, until)
        return Night(*self.window.last(until, self.zone), self.window)

    def query(self, **changes: Any) -> str:
        """Return the query string of a URL with these filters and some changes; None removes a parameter."""
        values: dict[str, Any] = {
            "tenant": self.tenants[0] if len(self.tenants) == 1 else None,
            "location": self.location,
            "service": self.object_type,
            "days": self.days if self.days != Filter.days else None,
            **changes,
        }
        return urlencode({name: value for name, value in values.items() if value is not None})


def parse_filter(parameters: Mapping[str, str], visible: Filter) -> Filter:
    """Return the filters of a URL's parameters, limited to the visible tenants; invalid values are ignored."""
    tenant, days = parameters.get("tenant"), parameters.get("days", "")
    filters = replace(
        visible,
        location=parameters.get("location") if parameters.get("location") != "*" else None,
        object_type=parameters.get("service") or None,
        days=int(days) if days.isdecimal() and 0 < int(days) <= MAX_DAYS_BACK else visible.days,
    )
    if tenant and (not visible.tenants or tenant in visible.tenants):
        filters = replace(filters, tenants=(tenant,))
    return filters


def parse_url_zone(parameters: Mapping[str, str]) -> tzinfo | None:
    """Return the time zone of a URL's parameters; None if it is missing or unknown."""
    try:
        return parse_zone(parameters["zone"], "zone") if parameters.get("zone") else None
    except ConfigurationError:
        return None
