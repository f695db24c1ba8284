"""The report: the dashboard's charts as one file to send by mail, as HTML, PNG or PDF."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.errors.explain import UsageError
from m365_jobs.reports import charts, html, image
from m365_jobs.reports.labels import moment
from m365_jobs.reports.metrics import Figures, Filter, read
from m365_jobs.warehouse.target import Target
from m365_jobs.warehouse.tenant_scope import open_scope

ENDINGS = (".html", ".htm", ".png", ".pdf")


def timezone(name: str) -> tzinfo:
    """A time zone by its IANA name, such as Europe/Berlin.

    Raises:
        UsageError: where there is none of that name.
    """
    try:
        return UTC if name.upper() == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"--timezone {name!r} is not known; write a name such as Europe/Berlin or UTC.") from error


def kind(path: Path) -> str:
    """The ending that says what is written.

    Raises:
        UsageError: for any other ending.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{path.name}: a report ends in {', '.join(ENDINGS)}; that says what it is.")
    return ending


def write(path: Path, pipeline: Target, chosen: Filter, zone: tzinfo) -> None:
    """Writes the report of a warehouse.

    Raises:
        UsageError: where the ending of the path is not known, or the file cannot be written.
        DatabaseException: where the warehouse cannot be read.
    """
    ending, now = kind(path), datetime.now(UTC)
    with open_scope(pipeline, chosen.tenants) as scope:
        try:
            found = read(scope, chosen)
            found = found and replace(found, protection=html.judged(found.protection, now))
        except DestinationUndefinedEntity:
            found = None
    drawn = {".png": image.png, ".pdf": image.pdf}.get(ending)
    content = drawn(found, now, zone) if drawn else page(found, now, zone).encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error


def page(found: Figures | None, now: datetime, zone: tzinfo) -> str:
    """The report as one HTML file that needs nothing beside itself: no script, font or picture from elsewhere."""
    if found is None:
        body = html.nothing("Nothing is loaded yet. Run: m365-jobs load")
    else:
        body = html.standing(found.as_of, found.loads, now, zone) + "".join(sections(found, now, zone))
    title = "Microsoft 365 backup"
    whose = f" · {', '.join(found.chosen.tenants)}" if found and found.chosen.tenants else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Not even a picture may be fetched, whatever an error message says.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}{escape(whose)}</title><style>{html.css()}\n"
        "body { margin: 0 auto; padding: 16px; max-width: 1200px; }</style></head>"
        f'<body class="m365"><main><h1>{title}{escape(whose)}</h1>'
        f'<p class="quiet">Made {moment(now, zone)}. Times are {_name(zone)}; days are UTC days.</p>{body}'
        "</main></body></html>\n"
    )


def sections(found: Figures, now: datetime, zone: tzinfo) -> list[str]:
    """The parts of the page in the order of their importance."""
    days = f"last {found.chosen.days} days"
    errors = html.side_by_side(html.figure(charts.errors(found.errors))) + html.errors(found.errors, zone)
    return [
        html.section("Protection now", html.protection(found.protection, found.loads, zone)),
        html.section("Last night", html.night(found.night, found.failed, found.as_of, zone)),
        html.section(f"Trends, {days}", html.trends(found.trend, found.chosen)),
        html.section("Duration against its own history", html.durations(found.durations)),
        html.section(f"Top errors, {days}", errors if found.errors else html.nothing("No job had an error.")),
        html.section("Open jobs", html.open_jobs(found.open_jobs, zone)),
        html.section("Freshness of this data", html.freshness(found.loads, found.completeness, now, zone)),
    ]


def _name(zone: tzinfo) -> str:
    return str(getattr(zone, "key", None) or "UTC")
