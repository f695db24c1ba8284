"""Write reports as one file to send by mail: HTML, PNG, PDF or CSV."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from avepoint_m365.exceptions import ConfigurationError
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.config.calendar import common_calendar, parse_zone
from m365_jobs.config.protection import max_data_age
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.health.evaluate import evaluate_scope
from m365_jobs.reports import labels, sections
from m365_jobs.reports.audit import Period, read_audit
from m365_jobs.reports.page import Page
from m365_jobs.reports.paper import EMPTY_TEXT, IMAGE_PAPER, TITLE, page_tenants, render_paper
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.target import Target
from m365_jobs.warehouse.tenant_scope import TenantScope, open_scope

EXTENSIONS = (".html", ".htm", ".png", ".pdf", ".csv")
"""File extensions of a report, each of a format."""


def parse_timezone(name: str | None) -> tzinfo | None:
    """Return a time zone by its IANA name, such as Europe/Berlin; None for None.

    Raises:
        UsageError: for an unknown name.
    """
    try:
        return parse_zone(name, "--timezone") if name else None
    except ConfigurationError as error:
        raise UsageError(str(error)) from error


def report_extension(path: Path) -> str:
    """Return the file extension in lower case, which selects the format.

    Raises:
        UsageError: for an extension that is not in ``EXTENSIONS``.
    """
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        raise UsageError(f"{path.name}: a report ends in {', '.join(EXTENSIONS)}; that says what it is.")
    return extension


@dataclass(frozen=True)
class ReportOptions:
    """Hold the options of a report. Without ``month`` and ``audit`` it shows the current state."""

    filters: Filter
    zone: tzinfo | None = None
    """None for the tenants' time zone."""
    paper: str = "A4"
    """Paper size of CSS."""
    month: date | None = None
    """First day of the month of a service report."""
    audit: Period | None = None
    """Period of an audit report."""


EASTERNMOST = timedelta(hours=14)
"""How far the clocks of the easternmost time zone are ahead of UTC."""


def parse_month(text: str | None) -> date | None:
    """Return the first day of a month such as 2026-11; None for None.

    Raises:
        UsageError: for any other text, and for a month that has begun in no time zone.
    """
    if text is None:
        return None
    if not re.fullmatch(r"[1-9]\d{3}-(0[1-9]|1[0-2])", text):
        raise UsageError(f"--month {text!r} is not a month. Write it as 2026-11.")
    first = date.fromisoformat(f"{text}-01")
    newest = (datetime.now(UTC) + EASTERNMOST).date()
    if first > newest:
        raise UsageError(f"--month {text} has not begun. Name a month up to {newest:%Y-%m}.")
    return first


def write_report(path: Path, pipeline: Target, options: ReportOptions) -> Path:
    """Write the report of a warehouse; return the path.

    Raises:
        UsageError: for an unknown extension, and if the file cannot be written.
        DatabaseException: if the warehouse cannot be read.
    """
    extension = report_extension(path)
    with open_scope(pipeline, options.filters.tenants) as scope:
        content = _render(scope, pipeline, extension, options)
    write_file(path, content)
    return path


def write_tenant_reports(
    folder: Path, extension: str, pipeline: Target, options: ReportOptions
) -> tuple[dict[Path, tuple[str, ...]], ConfigurationError | None]:
    """Write a report for each tenant of ``options``, or of the warehouse, into a folder.

    Return the only tenant of each path, and an error that names each tenant whose settings are invalid; None without
    such a tenant.

    Raises:
        UsageError: if a file cannot be written.
        DatabaseException: if the warehouse cannot be read.
    """
    written: dict[Path, tuple[str, ...]] = {}
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be created: {error.strerror or error}.") from error
    with open_scope(pipeline, options.filters.tenants) as scope:
        names = page_tenants(scope, options.filters)
        files = report_file_names(names)
        for name in names:
            tenant_scope = TenantScope(scope.reader, (name,))
            tenant_options = replace(options, filters=replace(options.filters, tenants=(name,)))
            path = folder / f"{files[name]}{extension}"
            try:
                content = _render(tenant_scope, pipeline, extension, tenant_options)
            except ConfigurationError as error:
                failures.append(f"No report of {name}: {error}")
                continue
            write_file(path, content)
            written[path] = tenant_options.filters.tenants
    if not failures:
        return written, None
    return written, ConfigurationError(" ".join([*failures, f"Other reports that were written: {len(written)}."]))


def report_file_names(tenants: Sequence[str]) -> dict[str, str]:
    """Return a file name without extension for each tenant: its label, or its allowed characters and a hash."""
    names: dict[str, str] = {}
    for tenant in tenants:
        plain = re.sub(r"[^\w.-]+", "-", tenant).strip(".-")
        if plain != tenant or plain.lower() in {name.lower() for name in names.values()}:
            plain = f"{plain or 'tenant'}-{hashlib.sha256(tenant.encode()).hexdigest()[:8]}"
        names[tenant] = plain
    return names


def _render(scope: TenantScope, pipeline: Target, extension: str, options: ReportOptions) -> bytes:
    """Return the content of a report file."""
    from m365_jobs.reports import billing, service_report

    filters, zone = options.filters, options.zone
    if options.audit:
        return _render_audit(scope, extension, options, options.audit)
    if extension == ".csv":
        return billing.billing_csv(scope, f"{options.month:%Y-%m}" if options.month else None).encode()
    paper = IMAGE_PAPER if extension == ".png" else options.paper
    if options.month:
        text = service_report.service_report_html(scope, filters, zone, options.month, paper)
    else:
        text = report_html(read_report_page(scope, pipeline, filters, zone), paper, filters.tenants)
    return convert(text, extension)


def _render_audit(scope: TenantScope, extension: str, options: ReportOptions, period: Period) -> bytes:
    """Return the content of an audit report.

    Raises:
        UsageError: for CSV before the first load.
    """
    from m365_jobs.reports import audit_report

    tenants = options.filters.tenants
    try:
        audit = read_audit(scope, period)
    except DestinationUndefinedEntity:
        if extension == ".csv":
            raise UsageError(f"No audit: {EMPTY_TEXT} Run: m365-jobs load") from None
        audit = None
    if audit and extension == ".csv":
        return audit_report.audit_csv(audit).encode()
    zone = options.zone or common_calendar(page_tenants(scope, options.filters)).zone
    paper = IMAGE_PAPER if extension == ".png" else options.paper
    return convert(audit_report.audit_html(audit, tenants, zone, paper), extension)


def write_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        UsageError: if it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error


def convert(text: str, extension: str) -> bytes:
    """Return an HTML document in the format of a file extension."""
    from m365_jobs.reports import image

    return {".png": image.png, ".pdf": image.pdf}.get(extension, str.encode)(text)


def read_report_page(scope: TenantScope, pipeline: Target, filters: Filter, zone: tzinfo | None) -> Page | None:
    """Return the data of a report; None before the first load."""
    names = page_tenants(scope, filters)
    calendar = common_calendar(names)
    filters = replace(filters, zone=zone or calendar.zone, window=calendar.window)
    try:
        metrics = sections.read_metrics(scope, filters, is_fleet=len(names) > 1)
    except DestinationUndefinedEntity:
        metrics = None
    if metrics is None:
        return None
    evaluation = evaluate_scope(scope, pipeline, filters.tenants, max_data_age())
    return Page(filters, datetime.now(UTC), evaluation, metrics, names, for_customer=bool(filters.tenants))


def report_html(page: Page | None, paper: str = "A4", tenants: Sequence[str] = ()) -> str:
    """Return the report as one HTML file without external scripts, fonts and images."""
    title = " · ".join([TITLE, *tenants])
    if page is None:
        notice = EMPTY_TEXT if tenants else f"{EMPTY_TEXT} Run: m365-jobs load"
        values: dict[str, Any] = {"page": None, "notice": notice, "sections": [], "description": EMPTY_TEXT}
        created_at = datetime.now(UTC)
    else:
        created_at = page.drawn_at
        as_of = labels.time_label(page.metrics.as_of, page.zone)
        description = (
            f"Made {labels.time_label(created_at, page.zone)}. Data as of {as_of}. "
            f"Times and days are those of {page.filters.zone_name}."
        )
        values = {"page": page, "notice": "", "sections": sections.build_sections(page), "description": description}
    return render_paper("report.html", title, paper, created=created_at.isoformat(timespec="seconds"), **values)
