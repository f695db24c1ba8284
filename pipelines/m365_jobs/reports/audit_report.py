"""Render an audit as HTML, the source of PDF and image, and as CSV with a row per service."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.audit import Audit
from m365_jobs.reports.billing import csv_value
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import PartitionKey, Row, partition_key
from m365_jobs.reports.paper import EMPTY_TEXT, TITLE, render_paper
from m365_jobs.reports.sections.retention import CHANGE_COLUMNS, change_cells
from m365_jobs.text import singular_period

SCHEDULE_COLUMNS = ("scheduled", "ran", "met", "missed", "skipped")
BACKUP_COLUMNS = ("backups", "succeeded", "warnings", "failed")
RESTORE_COLUMNS = (
    "last_restore_at", "last_restore_id", "last_restore_hours", "last_restore_objects", "restores_tried",
    "restores_failed",
)  # fmt: skip
CSV_COLUMNS = (
    "period_from", "period_until", "tenant", "location", "object_type", *SCHEDULE_COLUMNS, *BACKUP_COLUMNS,
    "failure_reasons", *RESTORE_COLUMNS,
    "retention_period", "retention_days", "settings_changes", "complete_until", "covers_period", "rows", "sha256",
    "jobs", "jobs_sha256",
)  # fmt: skip


@dataclass
class ServiceAudit:
    """Hold the rows of an audit about one service; a section without rows is empty."""

    schedule: Row = field(default_factory=dict)
    backups: Row = field(default_factory=dict)
    failures: list[Row] = field(default_factory=list)
    restores: Row = field(default_factory=dict)
    retention: Row = field(default_factory=dict)
    changes: list[Row] = field(default_factory=list)
    completeness: Row = field(default_factory=dict)


def services_of(audit: Audit) -> dict[PartitionKey, ServiceAudit]:
    """Return the rows of each service that is scheduled or has backups or restores, in alphabetical order of its key.

    Loads also ask for services and, to prove completeness, for locations without any job: those are no services here.
    """
    services: dict[PartitionKey, ServiceAudit] = {}
    for name in ("schedule", "backups", "restores"):
        for row in audit.sections[name]:
            if row["object_type"]:
                setattr(services.setdefault(partition_key(row), ServiceAudit()), name, row)
    completeness = {partition_key(row): row for row in audit.sections["completeness"]}
    for row in audit.sections["failures"]:
        if row["object_type"]:
            services.setdefault(partition_key(row), ServiceAudit()).failures.append(row)
    scheduled = {partition_key(row)[:2] for row in audit.sections["schedule"]}
    for (tenant, location, object_type), service in services.items():
        if (tenant, location) in scheduled:
            service.schedule = service.schedule or dict.fromkeys(SCHEDULE_COLUMNS, 0)
        policies = [
            row for row in audit.sections["retention"] if (row["tenant"], row["location"] or "") == (tenant, location)
        ]
        service.completeness = completeness.get((tenant, location, object_type), {})
        service.retention = _service_retention(policies, object_type)
        service.changes = [
            row
            for row in audit.sections["changes"]
            if (row["tenant"], row["location"] or "") == (tenant, location)
            and (row["service"] is None or row["object_type"] == object_type)
        ]
    return dict(sorted(services.items()))


def _service_retention(policies: Iterable[Row], object_type: str) -> Row:
    """Return the retention policy of a service: its own, else the default, else an empty row."""
    # A service without an object type, such as private channels, has a level of its own as well.
    levels = {row["level"]: row for row in policies if row["service"] is None or row["object_type"] == object_type}
    return levels.get("service") or levels.get("default") or {}


def audit_csv(audit: Audit) -> str:
    """Return the audit as CSV: a row per service, each with the digests of the whole audit."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for (tenant, location, object_type), service in services_of(audit).items():
        values = {
            "period_from": audit.period.since,
            "period_until": audit.period.until,
            "tenant": tenant,
            "location": location,
            "object_type": object_type,
            **{name: service.schedule.get(name) for name in SCHEDULE_COLUMNS},
            **{name: service.backups.get(name, 0) for name in BACKUP_COLUMNS},
            "failure_reasons": "; ".join(
                f"{row['outcome']}: {row['reason']} ({row['backups']})" for row in service.failures
            ),
            **{name: service.restores.get(name) for name in RESTORE_COLUMNS},
            "retention_period": service.retention.get("retention_period"),
            "retention_days": service.retention.get("retention_days"),
            "settings_changes": "; ".join(map(_change_text, service.changes)),
            "complete_until": service.completeness.get("complete_until"),
            "covers_period": service.completeness.get("covers_period"),
            "rows": audit.rows,
            "sha256": audit.digest,
            "jobs": audit.jobs,
            "jobs_sha256": audit.jobs_digest,
        }
        writer.writerow({name: csv_value(value) for name, value in values.items()})
    return text.getvalue()


def _change_text(row: Row) -> str:
    """Return a change of a setting, with the time of the load that read it first (UTC)."""
    subject = " ".join(
        part for part in (row["setting"].replace("_", " "), row["service"], row["container_name"]) if part
    )
    values = singular_period(f"from {row['old_value'] or 'nothing'} to {row['new_value'] or 'nothing'}")
    read_at = labels.time_label(row["changed_before"], UTC)
    return f"{subject}: {row['change'].replace('_', ' ')} {values}, read first {read_at}"


def audit_html(audit: Audit | None, tenants: Iterable[str], zone: tzinfo, paper: str) -> str:
    """Return the audit as an HTML document without commands and URLs; ``audit`` is None before the first load.

    ``paper`` is a paper size of CSS, or ``IMAGE_PAPER``.
    """
    title = " · ".join([f"{TITLE}, audit report", *tenants])
    values: dict[str, Any] = {"audit": None, "description": EMPTY_TEXT, "created": ""}
    if audit is not None:
        created = labels.time_label(audit.created_at, zone)
        values = {
            "audit": audit,
            "description": f"Made {created}. Days are UTC days.",
            "created": audit.created_at.isoformat(timespec="seconds"),
            "since": labels.time_label(audit.period.since, UTC),
            "until": labels.time_label(audit.period.until, UTC),
            **_template_values(audit, zone),
        }
    return render_paper("audit_report.html", title, paper, **values)


PARTITION_TITLES = ("Tenant", "Location", "Service")

TABLES = {
    "services": (
        "Backups of the period per service",
        (*PARTITION_TITLES, "Scheduled", "Met", "Missed", "Skipped", "Ended", "Failed", "Warnings"),
    ),
    "failures": (
        "Failures and warnings with their reasons",
        (*PARTITION_TITLES, "Outcome", "Reason", "Backups", "Last"),
    ),
    "restores": (
        "Restore evidence",
        (*PARTITION_TITLES, "Last proved restore", "Job", "Objects", "Tried in the period", "Failed"),
    ),
    "retention": (
        "Retention in force at the end of the period",
        ("Tenant", "Location", "Level", "Service", "Container", "Kept for", "Read first"),
    ),
    "changes": ("Changes of settings in the period", ("Tenant", "Location", *CHANGE_COLUMNS)),
    "completeness": (
        "Completeness of the data",
        (*PARTITION_TITLES, "Proved complete until", "By the load of", "Covers the period"),
    ),
    "loads": ("Loads of the period", ("Tenant", "Result", "Loads", "Last")),
    "reconciliations": (
        "Comparisons with the totals of the service",
        ("Tenant", "Location", "Comparison", "Made", "Agreed", "Differed", "Last"),
    ),
}
"""Name of a table in the template to its caption and column titles."""


def _template_values(audit: Audit, zone: tzinfo) -> dict[str, Any]:
    """Return the counts and tables of the template ``audit_report.html``."""
    services, sections = services_of(audit), audit.sections
    rows: dict[str, Iterable[list[Any]]] = {
        "services": _backup_cells(services),
        "failures": _failure_cells(services, zone),
        "restores": _restore_cells(services, zone),
        "retention": (_retention_cells(row, zone) for row in sections["retention"]),
        "changes": (
            [row["tenant"], labels.location_label(row["location"]), *change_cells(row, zone)]
            for row in sections["changes"]
        ),
        "completeness": _completeness_cells(sections["completeness"], zone),
        "loads": (
            [
                row["tenant"],
                labels.LOAD_RESULTS.get(row["status"], row["status"]),
                row["loads"],
                labels.time_label(row["last_at"], zone),
            ]
            for row in sections["loads"]
        ),
        "reconciliations": (_reconciliation_cells(row, zone) for row in sections["reconciliations"]),
    }
    return {
        "scheduled": {name: sum(row[name] for row in sections["schedule"]) for name in SCHEDULE_COLUMNS},
        "has_schedule": bool(sections["schedule"]),
        "failed": sum(row["failed"] for row in sections["backups"]),
        "unproved": sum(not row["covers_period"] for row in sections["completeness"]),
        "untested": sum(not row["last_restore_at"] for row in sections["restores"]),
        **{name: HtmlTable(*TABLES[name], list(cells)) for name, cells in rows.items()},
    }


def _backup_cells(services: dict[PartitionKey, ServiceAudit]) -> Iterator[list[Any]]:
    for key, service in services.items():
        scheduled = (service.schedule.get(name, "unknown") for name in ("scheduled", "met", "missed", "skipped"))
        yield [
            *_partition_cells(key),
            *scheduled,
            *(service.backups.get(name, 0) for name in ("backups", "failed", "warnings")),
        ]


def _retention_cells(row: Row, zone: tzinfo) -> list[Any]:
    return [
        row["tenant"],
        labels.location_label(row["location"]),
        row["level"].capitalize(),
        row["service"] or "All services",
        row["container_name"] or "",
        singular_period(row["retention_period"] or ""),
        labels.time_label(row["valid_from"], zone),
    ]


def _reconciliation_cells(row: Row, zone: tzinfo) -> list[Any]:
    return [
        row["tenant"],
        labels.location_label(row["location"]),
        row["kind"].replace("_", " "),
        row["comparisons"],
        row["agreed"],
        row["differed"],
        labels.time_label(row["last_at"], zone),
    ]


def _partition_cells(key: PartitionKey) -> list[str]:
    tenant, location, object_type = key
    return [tenant, labels.location_label(location), labels.service_label(object_type)]


def _failure_cells(services: dict[PartitionKey, ServiceAudit], zone: tzinfo) -> Iterator[list[Any]]:
    for key, service in services.items():
        for row in service.failures:
            reason = re.sub(r"https?://\S+", "(address)", row["reason"])
            last_at = labels.time_label(row["last_at"], zone)
            yield [*_partition_cells(key), row["outcome"], reason, row["backups"], last_at]


def _restore_cells(services: dict[PartitionKey, ServiceAudit], zone: tzinfo) -> Iterator[list[Any]]:
    for key, service in services.items():
        if row := service.restores:
            yield [
                *_partition_cells(key),
                labels.time_label(row["last_restore_at"], zone),
                row["last_restore_id"] or "",
                (row["last_restore_objects"] or 0) if row["last_restore_at"] else "",
                row["restores_tried"],
                row["restores_failed"],
            ]


def _completeness_cells(rows: Iterable[Row], zone: tzinfo) -> Iterator[list[Any]]:
    for row in rows:
        yield [
            row["tenant"],
            labels.location_label(row["location"]),
            labels.services_label(row["object_type"]),
            labels.time_label(row["complete_until"], zone),
            labels.time_label(row["last_complete_load_at"], zone),
            "yes" if row["covers_period"] else "no",
        ]
