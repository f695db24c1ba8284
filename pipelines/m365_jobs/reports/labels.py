"""Names, times and numbers as people read them."""

from __future__ import annotations

from datetime import datetime, tzinfo

SERVICES = {
    "exchange_online": "Exchange Online",
    "sharepoint_online": "SharePoint Online",
    "onedrive": "OneDrive",
    "microsoft_365_groups": "Microsoft 365 Groups",
    "project_online": "Project Online",
    "public_folder": "Public Folder",
    "teams": "Teams",
    "viva_engage": "Viva Engage",
    "teams_chat": "Teams Chat",
    "power_bi": "Power BI",
    "power_automate": "Power Automate",
    "power_apps": "Power Apps",
}

NOBODY = "No service is known to have had a backup in the last 30 days, and none is expected"


def service(object_type: str | None) -> str:
    """Microsoft's name of an object type; what is said of jobs whose type the API did not tell."""
    return SERVICES.get(object_type, object_type) if object_type else "Unknown service"


def location(name: str | None) -> str:
    """A location; what is said where none was asked for."""
    return name or "All locations"


def moment(value: datetime | None, zone: tzinfo, missing: str = "never") -> str:
    """A time to the minute, with its zone: 2026-01-31 06:00 UTC."""
    return f"{value.astimezone(zone):%Y-%m-%d %H:%M %Z}" if value else missing


def span(hours: float | None) -> str:
    """A length of time in the unit that suits it: 12 min, 7.5 h, 3 days."""
    if hours is None:
        return "unknown"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"


def count(number: int | None, one: str, many: str) -> str:
    """A number with its noun: 1 job, 2,000 jobs."""
    return f"{number or 0:,} {one if number == 1 else many}"


def no_success(status: str) -> str:
    """What a service without a last success is called, by its status."""
    return "no success known" if status == "unknown" else "no success yet"
