"""Write the report: the dashboard's sections as one file to send by mail, as HTML, PNG or PDF."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any

from avepoint_m365.exceptions import ConfigurationError
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.config.calendar import common_calendar, parse_zone
from m365_jobs.config.protection import max_data_age
from m365_jobs.errors.explain import UsageError
from m365_jobs.health.evaluate import evaluate_scope
from m365_jobs.reports import html, labels, sections
from m365_jobs.reports.audit import Period, read_audit
from m365_jobs.reports.page import Page
from m365_jobs.reports.paper import IMAGE, TITLE, page_tenants, paper_css
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.target import Target
from m365_jobs.warehouse.tenant_scope import TenantScope, open_scope

ENDINGS = (".html", ".htm", ".png", ".pdf", ".csv")


EMPTY = "Nothing is loaded yet."


def timezone(name: str | None) -> tzinfo | None:
    """Return a time zone by its IANA name, such as Europe/Berlin; None for none.

    Raises:
        UsageError: for an unknown name.
    """
    try:
        return parse_zone(name, "--timezone") if name else None
    except ConfigurationError as error:
        raise UsageError(str(error)) from error


def kind(path: Path) -> str:
    """Return the file extension, which selects the format.

    Raises:
        UsageError: for any other ending.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{path.name}: a report ends in {', '.join(ENDINGS)}; that says what it is.")
    return ending


@dataclass(frozen=True)
class ReportOptions:
    """Hold the options of a report. Without ``month`` and ``audit`` it is about the current state.

    ``month`` is the first day of the month of a service report, ``audit`` the period of an audit report.
    """

    shown: Filter
    zone: tzinfo | None = None
    paper: str = "A4"
    month: date | None = None
    audit: Period | None = None


def first_of_month(text: str | None) -> date | None:
    """Return the first day of a month such as 2026-11; None for none.

    Raises:
        UsageError: for any other text.
    """
    if text is None:
        return None
    if not re.fullmatch(r"[1-9]\d{3}-(0[1-9]|1[0-2])", text):
        raise UsageError(f"--month {text!r} is not a month. Write it as 2026-11.")
    return date.fromisoformat(f"{text}-01")


def write_report(path: Path, pipeline: Target, options: ReportOptions) -> Path:
    """Write the report of a warehouse; return the path.

    Raises:
        UsageError: for an unknown ending, or a file that cannot be written.
        DatabaseException: where the warehouse cannot be read.
    """
    ending = kind(path)
    with open_scope(pipeline, options.shown.tenants) as scope:
        content = _content(scope, pipeline, ending, options)
    save(path, content)
    return path


def write_each(folder: Path, ending: str, pipeline: Target, options: ReportOptions) -> list[Path]:
    """Write a report for each tenant, or each of those in ``options``, into a folder; return the paths.

    Raises:
        UsageError: where a file cannot be written.
        DatabaseException: where the warehouse cannot be read.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be created: {error.strerror or error}.") from error
    with open_scope(pipeline, options.shown.tenants) as scope:
        names = page_tenants(scope, options.shown)
        files = file_names(names)
        for name in names:
            of_tenant = TenantScope(scope.reader, (name,))
            own = replace(options, shown=replace(options.shown, tenants=(name,)))
            path = folder / f"{files[name]}{ending}"
            save(path, _content(of_tenant, pipeline, ending, own))
            written.append(path)
    return written


def file_names(tenants: Sequence[str]) -> dict[str, str]:
    """Return a file name for each tenant: its label, or the allowed part of it with a hash."""
    names: dict[str, str] = {}
    for tenant in tenants:
        plain = re.sub(r"[^\w.-]+", "-", tenant).strip(".-")
        if plain != tenant or plain.lower() in {name.lower() for name in names.values()}:
            plain = f"{plain or 'tenant'}-{hashlib.sha256(tenant.encode()).hexdigest()[:8]}"
        names[tenant] = plain
    return names


def _content(scope: TenantScope, pipeline: Target, ending: str, options: ReportOptions) -> bytes:
    from m365_jobs.reports import billing, service_report

    shown, zone = options.shown, options.zone
    if options.audit:
        return _audit(scope, ending, options, options.audit)
    if ending == ".csv":
        return billing.billing_csv(scope, f"{options.month:%Y-%m}" if options.month else None).encode()
    paper = IMAGE if ending == ".png" else options.paper
    if options.month:
        text = service_report.service_report_html(scope, shown, zone, options.month, paper)
    else:
        text = report_html(read_report_page(scope, pipeline, shown, zone), paper, shown.tenants)
    return convert(text, ending)


def _audit(scope: TenantScope, ending: str, options: ReportOptions, period: Period) -> bytes:
    from m365_jobs.reports import audit_report

    tenants = options.shown.tenants
    try:
        evidence = read_audit(scope, period)
    except DestinationUndefinedEntity:
        if ending == ".csv":
            raise UsageError(f"No audit: {EMPTY} Run: m365-jobs load") from None
        evidence = None
    if evidence and ending == ".csv":
        return audit_report.audit_csv(evidence).encode()
    zone = options.zone or common_calendar(page_tenants(scope, options.shown)).zone
    return convert(
        audit_report.audit_html(evidence, tenants, zone, IMAGE if ending == ".png" else options.paper), ending
    )


def save(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        UsageError: where it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error


def convert(text: str, ending: str) -> bytes:
    """Return an HTML document in the format of a file extension."""
    from m365_jobs.reports import image

    return {".png": image.png, ".pdf": image.pdf}.get(ending, str.encode)(text)


def read_report_page(scope: TenantScope, pipeline: Target, shown: Filter, zone: tzinfo | None) -> Page | None:
    """Return the data of a report; None before the first load."""
    names = page_tenants(scope, shown)
    calendar = common_calendar(names)
    shown = replace(shown, zone=zone or calendar.zone, window=calendar.window)
    try:
        numbers = sections.read_metrics(scope, shown, is_fleet=len(names) > 1)
    except DestinationUndefinedEntity:
        numbers = None
    if numbers is None:
        return None
    evaluation = evaluate_scope(scope, pipeline, shown.tenants, max_data_age())
    return Page(shown, datetime.now(UTC), evaluation, numbers, names, for_customer=bool(shown.tenants))


def report_html(page: Page | None, paper: str = "A4", tenants: Sequence[str] = ()) -> str:
    """Return the report as one HTML file without external scripts, fonts and images."""
    names = " · ".join([TITLE, *tenants])
    if page is None:
        notice = EMPTY if tenants else f"{EMPTY} Run: m365-jobs load"
        values: dict[str, Any] = {"page": None, "notice": notice, "sections": [], "description": EMPTY}
        made = datetime.now(UTC)
    else:
        made = page.drawn_at
        description = (
            f"Made {labels.moment(made, page.zone)}. Data as of {labels.moment(page.metrics.as_of, page.zone)}. "
            f"Times and days are those of {page.shown.zone_name}."
        )
        values = {"page": page, "notice": "", "sections": sections.build_sections(page), "description": description}
    return html.render_template(
        "report.html",
        title=names,
        kind="report",
        css=html.css(),
        paper=paper_css(paper, names),
        created=made.isoformat(timespec="seconds"),
        **values,
    )
