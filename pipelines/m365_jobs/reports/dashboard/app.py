"""Build the pages of the dashboard: an overview of a tenant or of all, and lists of jobs. All links are relative."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from m365_jobs.reports import drilldown, html, labels, sections
from m365_jobs.reports.dashboard.access import OwnPagesOnly, SafeHeaders, TokenNeeded
from m365_jobs.reports.dashboard.live import Live, PageReading, WarehouseUnavailableError
from m365_jobs.reports.view import PERIODS, Filter, parse, zone_of
from m365_jobs.warehouse.pipeline import DEFAULT_LABELS

TITLE = "Microsoft 365 backup"

EVERY = 20.0
"""Seconds until a page draws itself anew, where the operator sets nothing else."""

EXPIRES = 5
"""Minutes after which a page that cannot draw itself anew says that it is old; also in the style sheet."""

STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


def application(live: Live, token: str | None, every: float = EVERY) -> Any:
    """Return the dashboard as an ASGI application; without a token it serves loopback only."""
    pages = Pages(live, every)
    routes = [
        Route("/", pages.overview),
        Route("/jobs", pages.jobs),
        Route("/static/{name}", static),
    ]
    made: Any = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found})
    made = TokenNeeded(made, token, denied) if token else OwnPagesOnly(made)
    return SafeHeaders(GZipMiddleware(made, minimum_size=2000, compresslevel=4))


class Pages:
    """Serve the pages of one warehouse."""

    def __init__(self, live: Live, every: float) -> None:
        self._live, self._every = live, every

    async def overview(self, request: Request) -> Response:
        """Return the overview of a tenant or of all."""
        return await run_in_threadpool(self._overview, request)

    async def jobs(self, request: Request) -> Response:
        """Return a list of jobs."""
        return await run_in_threadpool(self._jobs, request)

    def _overview(self, request: Request) -> Response:
        shown = parse(request.query_params, self._live.visible)
        reading, trouble = self._live.page(shown, zone_of(request.query_params))
        return HTMLResponse(overview(reading, trouble, dict(request.query_params), self._live.visible, self._every))

    def _jobs(self, request: Request) -> Response:
        parameters = dict(request.query_params)
        shown = parse(parameters, self._live.visible)
        reading, trouble = self._live.page(shown, zone_of(parameters))
        values: dict[str, Any] = {"table": None}
        if reading and reading.page:
            page = reading.page
            try:
                values = self._live.ask(shown.tenants, lambda scope: drilldown.list_jobs(scope, page, parameters))
            except WarehouseUnavailableError as error:
                trouble = str(error)
        frame = _frame(reading, trouble, parameters, self._live.visible, self._every)
        return HTMLResponse(html.render_template("jobs.html", **{**frame, "choices": [], **values}))


def overview(
    reading: PageReading | None, trouble: str, parameters: dict[str, str], visible: Filter, every: float = EVERY
) -> str:
    """Return the page of a reading."""
    page = reading.page if reading else None
    if page:
        page = replace(page, sort=parameters.get("sort", ""))
    values = _frame(reading, trouble, parameters, visible, every)
    return html.render_template(
        "dashboard.html", sections=sections.build_sections(page) if page else [], **{**values, "page": page}
    )


def _frame(
    reading: PageReading | None, trouble: str, parameters: dict[str, str], visible: Filter, every: float
) -> dict[str, Any]:
    page = reading.page if reading else None
    now = datetime.now(UTC)
    drawn = reading.drawn_at if reading else now
    zone = page.zone if page else UTC
    text = labels.moment(drawn, zone)
    return {
        "title": TITLE if not page or page.is_fleet else " · ".join([TITLE, *_named(page.tenants)]),
        "subtitle": "" if not page else " · ".join(_named(page.tenants)) if not page.is_fleet else "all tenants",
        "kind": "dashboard",
        "build": page_version(),
        "drawn": round(drawn.timestamp() * 1000),
        "sent": round(now.timestamp() * 1000),
        "drawn_text": text + (f", {labels.ago(drawn, now)}" if trouble and page else ""),
        "every": every,
        "expires": EXPIRES,
        "zone": parameters.get("zone", ""),
        "trouble": trouble,
        "page": page,
        "choices": _choices(reading, parameters, visible) if reading else [],
    }


def _named(tenants: Sequence[str]) -> list[str]:
    return [name for name in tenants if name not in DEFAULT_LABELS]


def _choices(reading: PageReading, parameters: dict[str, str], visible: Filter) -> list[Any]:
    """Return the filters: name, label, the choice of everything, the other choices, and the one in the URL."""
    offered = reading.choices
    shown = parse(parameters, visible)
    filters: list[Any] = []
    if len(offered.tenants) > 1:
        options = [(name, name) for name in offered.tenants]
        filters.append(("tenant", "Tenant", ("", "All tenants"), options, shown.tenants[0] if shown.tenants else ""))
    if len(offered.locations) > 1:
        options = [(name, labels.location_label(name)) for name in offered.locations]
        filters.append(("location", "Location", ("*", "Everywhere"), options, shown.location))
    options = [(name, labels.service(name)) for name in offered.object_types]
    filters.append(("service", "Service", ("", "All services"), options, shown.object_type))
    periods = [(str(days), name) for days, name in PERIODS.items() if days != 30]
    filters.append(("days", "Trends, errors", ("30", PERIODS[30]), periods, str(shown.days)))
    used = reading.page.shown.zone_name if reading.page else "UTC"
    zones = sorted({"UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Tokyo",
                    "Asia/Kolkata", "Australia/Sydney", used})  # fmt: skip
    options = [(name, name.replace("_", " ")) for name in zones]
    filters.append(("zone", "Time zone", ("", "The tenant's"), options, parameters.get("zone", "")))
    return filters


def denied(_: Request, wrong: bool) -> Response:
    """Return the page on which the access token can be entered."""
    page = html.render_template("login.html", title=TITLE, kind="dashboard", build=page_version(), denied=wrong)
    return HTMLResponse(page, 401)


async def not_found(_: Request, error: Any) -> Response:
    """Return the answer for an address without a page."""
    return PlainTextResponse(
        "Page not found." if error.status_code == 404 else "Method not allowed.", error.status_code
    )


async def static(request: Request) -> Response:
    """Return the style sheet, the script or the icon."""
    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("Page not found.", 404)
    # The address changes with the content, so browsers keep the file.
    keep = {"Cache-Control": "private, max-age=31536000, immutable"} if request.url.query == page_version() else {}
    return Response(_file(name), media_type=STATIC[name], headers=keep)


@cache
def _file(name: str) -> bytes:
    folder = files("m365_jobs.reports")
    return (folder / name if name == "page.css" else folder / "dashboard" / "static" / name).read_bytes()


@cache
def page_version() -> str:
    """Return a text that changes with the files of the page."""
    return hashlib.sha256(b"".join(_file(name) for name in STATIC)).hexdigest()[:12]
