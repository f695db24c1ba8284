"""Write an audit as HTML, which PDF and image are made from, and as CSV with a row per service."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from m365_jobs.reports import html, labels
from m365_jobs.reports.audit import Audit, Row
from m365_jobs.reports.billing import plain_value
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.paper import TITLE, paper_css
from m365_jobs.text import singular_period

COUNTS = ("scheduled", "ran", "met", "missed", "skipped")
BACKUPS = ("backups", "succeeded", "warnings", "failed")
RESTORE = (
    "last_restore_at", "last_restore_id", "last_restore_hours", "last_restore_objects", "restores_tried",
    "restores_failed",
)  # fmt: skip
COLUMNS = (
    "period_from", "period_until", "tenant", "location", "object_type", *COUNTS, *BACKUPS, "failure_reasons", *RESTORE,
    "retention_period", "retention_days", "settings_changes", "complete_until", "covers_period", "rows", "sha256",
    "jobs", "jobs_sha256",
)  # fmt: skip

Key = tuple[str, str, str]
"""Tenant, location and service."""


@dataclass
class ServiceAudit:
    """Hold the rows of an audit about one service; a part without rows is empty."""

    schedule: Row = field(default_factory=dict)
    backups: Row = field(default_factory=dict)
    failures: list[Row] = field(default_factory=list)
    restores: Row = field(default_factory=dict)
    retention: Row = field(default_factory=dict)
    changes: list[Row] = field(default_factory=list)
    completeness: Row = field(default_factory=dict)


def services_of(audit: Audit) -> dict[Key, ServiceAudit]:
    """Return what the sections of an audit say of each service, in alphabetical order."""
    services: dict[Key, ServiceAudit] = {}
    for name in ("schedule", "backups", "restores", "completeness"):
        for row in audit.sections[name]:
            if row["object_type"]:
                setattr(services.setdefault(_key(row), ServiceAudit()), name, row)
    for row in audit.sections["failures"]:
        if row["object_type"]:
            services.setdefault(_key(row), ServiceAudit()).failures.append(row)
    for (tenant, location, object_type), service in services.items():
        here = [
            row for row in audit.sections["retention"] if (row["tenant"], row["location"] or "") == (tenant, location)
        ]
        service.retention = _retention(here, object_type)
        service.changes = [
            row
            for row in audit.sections["changes"]
            if (row["tenant"], row["location"] or "") == (tenant, location)
            and row["object_type"] in (object_type, None)
        ]
    return dict(sorted(services.items()))


def _key(row: Row) -> Key:
    return str(row["tenant"]), str(row["location"] or ""), str(row["object_type"])


def _retention(rows: Iterable[Row], object_type: str) -> Row:
    """Return the period of a service: its own, else the default."""
    levels = {row["level"]: row for row in rows if row["object_type"] in (object_type, None)}
    return levels.get("service") or levels.get("default") or {}


def audit_csv(audit: Audit) -> str:
    """Return a row per service, with the digests of the whole audit in each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for (tenant, location, object_type), service in services_of(audit).items():
        values = {
            "period_from": audit.period.since,
            "period_until": audit.period.until,
            "tenant": tenant,
            "location": location,
            "object_type": object_type,
            **{name: service.schedule.get(name) for name in COUNTS},
            **{name: service.backups.get(name, 0) for name in BACKUPS},
            "failure_reasons": "; ".join(
                f"{row['outcome']}: {row['reason']} ({row['backups']})" for row in service.failures
            ),
            **{name: service.restores.get(name) for name in RESTORE},
            "retention_period": service.retention.get("retention_period"),
            "retention_days": service.retention.get("retention_days"),
            "settings_changes": "; ".join(_change(row, UTC) for row in service.changes),
            "complete_until": service.completeness.get("complete_until"),
            "covers_period": service.completeness.get("covers_period"),
            "rows": audit.rows,
            "sha256": audit.digest,
            "jobs": audit.jobs,
            "jobs_sha256": audit.jobs_digest,
        }
        writer.writerow({name: plain_value(value) for name, value in values.items()})
    return text.getvalue()


def _change(row: Row, zone: tzinfo) -> str:
    what = " ".join(part for part in (row["setting"].replace("_", " "), row["service"], row["container_name"]) if part)
    values = singular_period(f"from {row['old_value'] or 'nothing'} to {row['new_value'] or 'nothing'}")
    return (
        f"{what}: {row['change'].replace('_', ' ')} {values}, read first {labels.moment(row['changed_before'], zone)}"
    )


def audit_html(audit: Audit | None, tenants: Iterable[str], zone: tzinfo, paper: str) -> str:
    """Return the audit as an HTML document, without commands and URLs; ``audit`` is None before the first load."""
    title = " · ".join([f"{TITLE}, audit report", *tenants])
    values: dict[str, Any] = {"audit": None, "description": "Nothing is loaded yet.", "created": ""}
    if audit is not None:
        made = labels.moment(audit.made_at, zone)
        values = {
            "audit": audit,
            "description": f"Made {made}. Days are UTC days.",
            "created": audit.made_at.isoformat(timespec="seconds"),
            "since": labels.moment(audit.period.since, UTC),
            "until": labels.moment(audit.period.until, UTC),
            **_values(audit, zone),
        }
    return html.render_template(
        "audit_report.html", title=title, kind="report", css=html.css(), paper=paper_css(paper, title), **values
    )


PLACE = ("Tenant", "Location", "Service")

TABLES = {
    "services": (
        "Backups of the period per service",
        (*PLACE, "Scheduled", "Met", "Missed", "Skipped", "Ended", "Failed", "Warnings"),
    ),
    "failures": ("Failures and warnings with their reasons", (*PLACE, "Outcome", "Reason", "Backups", "Last")),
    "restores": (
        "Restore evidence",
        (*PLACE, "Last proved restore", "Job", "Objects", "Tried in the period", "Failed"),
    ),
    "retention": (
        "Retention in force at the end of the period",
        ("Tenant", "Location", "Level", "Service", "Container", "Kept for", "Read first"),
    ),
    "changes": ("Changes of settings in the period", ("Tenant", "Location", "Change")),
    "completeness": (
        "Completeness of the data",
        (*PLACE, "Proved complete until", "By the load of", "Covers the period"),
    ),
    "loads": ("Loads of the period", ("Tenant", "Result", "Loads", "Last")),
    "reconciliations": (
        "Comparisons with the totals of the service",
        ("Tenant", "Location", "Comparison", "Made", "Agreed", "Differed", "Last"),
    ),
}
"""Name in the template to the caption and the columns."""


def _values(audit: Audit, zone: tzinfo) -> dict[str, Any]:
    services, sections = services_of(audit), audit.sections
    rows: dict[str, Iterable[list[Any]]] = {
        "services": _services(services),
        "failures": _failures(services, zone),
        "restores": _restores(services, zone),
        "retention": (_retention_cells(row, zone) for row in sections["retention"]),
        "changes": (
            [row["tenant"], labels.location_label(row["location"]), _change(row, zone)] for row in sections["changes"]
        ),
        "completeness": _completeness(sections["completeness"], zone),
        "loads": (
            [
                row["tenant"],
                labels.LOAD_RESULTS.get(row["status"], row["status"]),
                row["loads"],
                labels.moment(row["last_at"], zone),
            ]
            for row in sections["loads"]
        ),
        "reconciliations": (_reconciliation_cells(row, zone) for row in sections["reconciliations"]),
    }
    return {
        "scheduled": {name: sum(row[name] for row in sections["schedule"]) for name in COUNTS},
        "known": bool(sections["schedule"]),
        "failed": sum(row["failed"] for row in sections["backups"]),
        "unproved": sum(not row["covers_period"] for row in sections["completeness"]),
        "untested": sum(not service.restores.get("last_restore_at") for service in services.values()),
        **{name: HtmlTable(*TABLES[name], list(cells)) for name, cells in rows.items()},
    }


def _services(services: dict[Key, ServiceAudit]) -> Iterator[list[Any]]:
    for key, service in services.items():
        scheduled = (service.schedule.get(name, "unknown") for name in ("scheduled", "met", "missed", "skipped"))
        yield [
            *_names(key),
            *scheduled,
            *(service.backups.get(name, 0) for name in ("backups", "failed", "warnings")),
        ]


def _retention_cells(row: Row, zone: tzinfo) -> list[Any]:
    return [
        row["tenant"],
        labels.location_label(row["location"]),
        row["level"],
        row["service"] or "all services",
        row["container_name"] or "",
        singular_period(row["retention_period"] or ""),
        labels.moment(row["valid_from"], zone),
    ]


def _reconciliation_cells(row: Row, zone: tzinfo) -> list[Any]:
    return [
        row["tenant"],
        labels.location_label(row["location"]),
        row["kind"].replace("_", " "),
        row["comparisons"],
        row["agreed"],
        row["differed"],
        labels.moment(row["last_at"], zone),
    ]


def _names(key: Key) -> list[str]:
    tenant, location, object_type = key
    return [tenant, labels.location_label(location), labels.service(object_type)]


def _failures(services: dict[Key, ServiceAudit], zone: tzinfo) -> Iterator[list[Any]]:
    for key, service in services.items():
        for row in service.failures:
            reason = re.sub(r"https?://\S+", "(address)", row["reason"])
            yield [*_names(key), row["outcome"], reason, row["backups"], labels.moment(row["last_at"], zone)]


def _restores(services: dict[Key, ServiceAudit], zone: tzinfo) -> Iterator[list[Any]]:
    for key, service in services.items():
        row = service.restores
        last = row.get("last_restore_at")
        yield [
            *_names(key),
            labels.moment(last, zone),
            row.get("last_restore_id") or "",
            row.get("last_restore_objects") if last else 0,
            row.get("restores_tried", 0),
            row.get("restores_failed", 0),
        ]


def _completeness(rows: Iterable[Row], zone: tzinfo) -> Iterator[list[Any]]:
    for row in rows:
        yield [
            row["tenant"],
            labels.location_label(row["location"]),
            labels.service(row["object_type"]) if row["object_type"] else "All services",
            labels.moment(row["complete_until"], zone),
            labels.moment(row["last_complete_load_at"], zone),
            "yes" if row["covers_period"] else "no",
        ]
