"""Build the pages of the dashboard: an overview of a tenant or of all, and lists of jobs. All links are relative."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from m365_jobs.reports import drilldown, html, labels, sections
from m365_jobs.reports.dashboard.access import LoopbackOriginOnly, SecurityHeaders, TokenAuthentication
from m365_jobs.reports.dashboard.cache import CachedPage, PageCache
from m365_jobs.reports.dashboard.connection import WarehouseUnavailableError
from m365_jobs.reports.paper import TITLE
from m365_jobs.reports.view import PERIODS, UNKNOWN_SERVICE, Filter, parse_filter, parse_url_zone
from m365_jobs.warehouse.pipeline import DEFAULT_LABELS

REFRESH_SECONDS = 20.0
"""Seconds after which an open page refreshes, unless the operator sets another interval."""

EXPIRY_MINUTES = 5
"""Minutes after which a page that cannot refresh says that it is old. The style sheet has the same number."""

DEFAULT_DAYS = 30
"""Days of trends and errors, unless the URL has others."""

TIME_ZONES = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Australia/Sydney",
)
"""IANA names of the time zones that each page offers."""

STATIC_FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""File name to its media type."""

MIN_COMPRESSED_BYTES = 2000
"""Size in bytes from which responses are compressed."""


def application(page_cache: PageCache, token: str | None, refresh_seconds: float = REFRESH_SECONDS) -> ASGIApp:
    """Return the dashboard as an ASGI application; without a token it serves loopback only."""
    pages = Pages(page_cache, refresh_seconds)
    routes = [
        Route("/", pages.overview),
        Route("/jobs", pages.jobs),
        Route("/static/{name}", static_file),
    ]
    app: ASGIApp = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found})
    app = TokenAuthentication(app, token, login_page) if token else LoopbackOriginOnly(app)
    return SecurityHeaders(GZipMiddleware(app, minimum_size=MIN_COMPRESSED_BYTES, compresslevel=4))


class Pages:
    """Serve the pages of one warehouse."""

    def __init__(self, page_cache: PageCache, refresh_seconds: float) -> None:
        self._cache, self._refresh_seconds = page_cache, refresh_seconds

    async def overview(self, request: Request) -> Response:
        """Return the overview of a tenant or of all."""
        return await run_in_threadpool(self._overview, request)

    async def jobs(self, request: Request) -> Response:
        """Return a list of jobs."""
        return await run_in_threadpool(self._jobs, request)

    def _overview(self, request: Request) -> Response:
        parameters, visible = dict(request.query_params), self._cache.visible
        cached, notice = self._cache.page(parse_filter(parameters, visible), parse_url_zone(parameters))
        return HTMLResponse(overview_html(cached, notice, parameters, visible, self._refresh_seconds))

    def _jobs(self, request: Request) -> Response:
        parameters, visible = dict(request.query_params), self._cache.visible
        filters = parse_filter(parameters, visible)
        cached, notice = self._cache.page(filters, parse_url_zone(parameters))
        jobs: dict[str, Any] = {"table": None}
        if cached and cached.page:
            page = cached.page
            try:
                jobs = self._cache.query(filters.tenants, lambda scope: drilldown.list_jobs(scope, page, parameters))
            except WarehouseUnavailableError as error:
                notice = str(error)
        values = _template_values(cached, notice, parameters, visible, self._refresh_seconds)
        return HTMLResponse(html.render_template("jobs.html", **{**values, "selects": [], **jobs}))


def overview_html(
    cached: CachedPage | None,
    notice: str,
    parameters: Mapping[str, str],
    visible: Filter,
    refresh_seconds: float = REFRESH_SECONDS,
) -> str:
    """Return the overview as an HTML document.

    ``parameters`` are those of the URL. Without a page it shows the ``notice`` alone.
    """
    page = cached.page if cached else None
    if page:
        page = replace(page, sort=parameters.get("sort", ""))
    values = _template_values(cached, notice, parameters, visible, refresh_seconds)
    built = sections.build_sections(page) if page else []
    return html.render_template("dashboard.html", sections=built, **{**values, "page": page})


def _template_values(
    cached: CachedPage | None, notice: str, parameters: Mapping[str, str], visible: Filter, refresh_seconds: float
) -> dict[str, Any]:
    """Return the values of the template ``dashboard.html``; ``drawn`` and ``sent`` are Unix times in milliseconds."""
    page = cached.page if cached else None
    now = datetime.now(UTC)
    drawn_at = cached.drawn_at if cached else now
    drawn_text = labels.time_label(drawn_at, page.zone if page else UTC)
    return {
        "title": TITLE if not page or page.is_fleet else " · ".join([TITLE, *_without_default(page.tenants)]),
        "subtitle": "" if not page else "all tenants" if page.is_fleet else " · ".join(_without_default(page.tenants)),
        "kind": "dashboard",
        "assets_version": assets_version(),
        "drawn": round(drawn_at.timestamp() * 1000),
        "sent": round(now.timestamp() * 1000),
        "drawn_text": drawn_text + (f", {labels.elapsed_label(drawn_at, now)}" if notice and page else ""),
        "refresh_seconds": refresh_seconds,
        "expiry_minutes": EXPIRY_MINUTES,
        "zone": parameters.get("zone", ""),
        "notice": notice,
        "page": page,
        "selects": _selects(cached, parameters, visible) if cached else [],
    }


def _without_default(tenants: Sequence[str]) -> list[str]:
    """Return the labels of tenants without the one that a configuration without labels has."""
    return [name for name in tenants if name not in DEFAULT_LABELS]


@dataclass(frozen=True)
class FilterSelect:
    """Describe a drop-down list of a filter. An option is its value in the URL and its text."""

    name: str
    """Name of the parameter in the URL."""
    label: str
    default: tuple[str, str]
    options: Sequence[tuple[str, str]]
    selected: str | None
    """Value of the option in the URL."""


def _selects(cached: CachedPage, parameters: Mapping[str, str], visible: Filter) -> list[FilterSelect]:
    """Return the drop-down lists above a page; those of tenant and location only if there are several."""
    choices, filters = cached.options, parse_filter(parameters, visible)
    selects = []
    if len(choices.tenants) > 1:
        options = [(name, name) for name in choices.tenants]
        tenant = filters.tenants[0] if filters.tenants else ""
        selects.append(FilterSelect("tenant", "Tenant", ("", "All tenants"), options, tenant))
    if len(choices.locations) > 1:
        options = [(name, name or "Without a location") for name in choices.locations]
        selects.append(FilterSelect("location", "Location", ("*", "Everywhere"), options, filters.location))
    unknown = [UNKNOWN_SERVICE] if filters.object_type == UNKNOWN_SERVICE else []
    options = [(name, labels.service_label(name)) for name in (*choices.object_types, *unknown)]
    selects.append(FilterSelect("service", "Service", ("", "All services"), options, filters.object_type))
    options = [(str(days), name) for days, name in PERIODS.items() if days != DEFAULT_DAYS]
    default = (str(DEFAULT_DAYS), PERIODS[DEFAULT_DAYS])
    selects.append(FilterSelect("days", "Trends, errors", default, options, str(filters.days)))
    zone_names = {*TIME_ZONES, cached.page.filters.zone_name if cached.page else "UTC"}
    options = [(name, name.replace("_", " ")) for name in sorted(zone_names)]
    selects.append(FilterSelect("zone", "Time zone", ("", "The tenant's"), options, parameters.get("zone", "")))
    return selects


def login_page(_: Request, is_invalid: bool) -> Response:
    """Return the page on which the access token can be entered; ``is_invalid`` says that the sent one is wrong."""
    page = html.render_template(
        "login.html", title=TITLE, kind="dashboard", assets_version=assets_version(), is_invalid=is_invalid
    )
    return HTMLResponse(page, 401)


async def not_found(_: Request, error: Exception) -> Response:
    """Return the response to a request for an unknown path (404) or with an unknown method (405)."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return PlainTextResponse("Page not found." if status == 404 else "Method not allowed.", status)


async def static_file(request: Request) -> Response:
    """Return the style sheet, the script or the icon."""
    name = request.path_params["name"]
    if name not in STATIC_FILES:
        return PlainTextResponse("Page not found.", 404)
    # The URL changes with the content, so browsers may cache the file for a year.
    is_current = request.url.query == assets_version()
    headers = {"Cache-Control": "private, max-age=31536000, immutable"} if is_current else {}
    return Response(_file(name), media_type=STATIC_FILES[name], headers=headers)


@cache
def _file(name: str) -> bytes:
    folder = files("m365_jobs.reports")
    return (folder / name if name == "page.css" else folder / "dashboard" / "static" / name).read_bytes()


@cache
def assets_version() -> str:
    """Return the version of the static files in their URLs: 12 hexadecimal digits of their SHA-256."""
    return hashlib.sha256(b"".join(_file(name) for name in STATIC_FILES)).hexdigest()[:12]
