"""Hold the data of a page or report, read at one time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any

from m365_jobs.health.checks import FAILED_LOAD, PROBLEM, WARNING
from m365_jobs.health.evaluate import Evaluation
from m365_jobs.health.finding import Finding
from m365_jobs.reports import labels
from m365_jobs.reports.metrics import Metrics, Query, Row
from m365_jobs.reports.shared_queries import read_completeness, read_loads
from m365_jobs.reports.view import PERIODS, UNKNOWN_SERVICE, Filter
from m365_jobs.text import format_count

PAGE_QUERIES: tuple[Query, ...] = (read_loads, read_completeness)
"""Queries whose rows every page has."""

LOAD_ERRORS = {
    "auth": "the sign-in was refused",
    "permission": "a permission is missing",
    "throttled": "the service limited the requests",
    "api": "the service answered with an error",
    "bad_response": "the service sent an answer in an unknown form",
    "destination": "the warehouse could not be written",
    "config": "the configuration is invalid",
    "internal": "an internal error",
}
"""Kind of a load's error to its text for customers, without URLs and commands."""


@dataclass(frozen=True)
class Page:
    """Hold the data of a page, its filters, and options for its readers."""

    filters: Filter
    drawn_at: datetime
    """UTC."""
    evaluation: Evaluation
    metrics: Metrics
    tenants: Sequence[str]
    """The tenants of this page, in alphabetical order."""
    for_customer: bool = False
    """True omits commands, URLs and configuration keys."""
    linked: bool = False
    """True adds links to other pages of the dashboard."""
    sort: str = ""
    """Column by which the table of tenants is sorted."""

    def rows(self, query: Query) -> Sequence[Row]:
        """Return the rows of a section's query."""
        return self.metrics.rows[query]

    @property
    def zone(self) -> tzinfo:
        """Return the time zone of times and days."""
        return self.filters.zone

    @property
    def is_fleet(self) -> bool:
        """Return True for a page of several tenants."""
        return len(self.tenants) > 1

    @property
    def has_help_links(self) -> bool:
        """Return True if errors link to their help pages."""
        return not self.for_customer

    @property
    def period(self) -> str:
        """Return the name of the period of trends and errors."""
        return PERIODS.get(self.filters.days, format_count(self.filters.days, "day"))

    @cached_property
    def findings(self) -> list[Finding]:
        """Return the findings that match the filters."""
        return [finding for finding in self.evaluation.findings if self._matches_filters(finding)]

    def _matches_filters(self, finding: Finding) -> bool:
        location, object_type = self.filters.location, self.filters.object_type
        return (
            (finding.tenant is None or not self.filters.tenants or finding.tenant in self.filters.tenants)
            and (finding.service_name is None or object_type in (None, finding.object_type))
            and (
                location in (None, finding.location or "") or (finding.location is None and finding.object_type is None)
            )
        )

    @cached_property
    def problems(self) -> list[Finding]:
        """Return the findings that make the verdict unhealthy."""
        return [finding for finding in self.findings if finding.severity == PROBLEM]

    @cached_property
    def warnings(self) -> list[Finding]:
        """Return the other findings."""
        return [finding for finding in self.findings if finding.severity == WARNING]

    @cached_property
    def protection(self) -> list[Row]:
        """Return the evaluation's rows of ``protection_status`` that match the filters."""
        return [row for row in self.evaluation.protection if self.filters.matches(row)]

    @cached_property
    def loads(self) -> list[Row]:
        """Return the last load of each tenant that matches the filters."""
        return [row for row in self.rows(read_loads) if self.filters.matches(row)]

    @cached_property
    def completeness(self) -> list[Row]:
        """Return the rows of ``partition_loads`` that match the filters."""
        return [row for row in self.rows(read_completeness) if self.filters.matches(row)]

    @property
    def completeness_text(self) -> str:
        """Return what is not proved complete; for a fleet, the number of tenants."""
        proof = self.evaluation.completeness
        if proof.proved or not self.is_fleet:
            return re.sub(r"\b\w+_\w+\b", _plain_word, proof.text)
        parts = (
            (proof.never_loaded, "never loaded"),
            (proof.failed, "failed in the last load"),
            (proof.incomplete, "not proved complete"),
        )
        return "; ".join(f"{len(names):,} {words}" for names, words in parts if names)

    @property
    def is_stale(self) -> bool:
        """Return True if the data is older than ``max_data_age_hours``."""
        return self.drawn_at - self.metrics.as_of > timedelta(hours=self.evaluation.max_data_age_hours)

    def partition(self, row: Mapping[str, Any]) -> str:
        """Return the label of a row's partition, without a tenant or location that all rows share."""
        names = [row["tenant"]] if self.is_fleet and row["tenant"] else []
        names += [row["location"]] if row["location"] and self._several_locations else []
        names += [labels.service_label(row["object_type"])] if row["object_type"] else []
        return " · ".join(names) or (row["tenant"] if self.is_fleet else "") or "All services"

    @cached_property
    def _several_locations(self) -> bool:
        return len({row["location"] for row in self.protection}) > 1

    def last_success(self, row: Row) -> str:
        """Return the time of a service's last success, with its age."""
        missing = labels.no_success_label(row["status"])
        return labels.time_and_age_label(row["last_success_at"], self.zone, self.drawn_at, missing)

    def jobs_link(self, tenant: str | None, location: str | None, object_type: str | None) -> str | None:
        """Return the URL of the jobs of a partition; None in a report."""
        if not self.linked:
            return None
        query = self.filters.query(
            tenant=tenant if self.is_fleet else self._single_tenant,
            location=location,
            service=object_type,
            kind="backup",
        )
        return f"jobs?{query}"

    @property
    def _single_tenant(self) -> str | None:
        return self.filters.tenants[0] if len(self.filters.tenants) == 1 else None

    def job_link(self, row: Row) -> str | None:
        """Return the URL of a job; None in a report."""
        return f"jobs?{self.filters.query(job=row['id'], tenant=row['tenant'])}" if self.linked else None

    def error_link(self, row: Row) -> str | None:
        """Return the URL of the jobs with an error; None in a report."""
        if not self.linked:
            return None
        service, message = row["object_type"] or UNKNOWN_SERVICE, row["error_message"] or ""
        return f"jobs?{self.filters.query(service=service, error=message)}"

    def tenant_link(self, tenant: str, **changes: Any) -> str | None:
        """Return the URL of a tenant's page; None in a report."""
        return f"./?{self.filters.query(tenant=tenant, **changes)}" if self.linked else None

    def load_detail(self, row: Row) -> str:
        """Return the reason of a failed load, for operators or for customers."""
        if not self.for_customer:
            return row["detail"] or ""
        return LOAD_ERRORS.get(row["error_kind"], "") if row["status"] == "failed" else ""

    def finding_text(self, finding: Finding) -> str:
        """Return the text of a finding. Customers see no commands, URLs and configuration keys."""
        return customer_text(finding) if self.for_customer else finding.text


def customer_text(finding: Finding) -> str:
    """Return the text of a finding without commands, URLs and configuration keys."""
    if finding.kind == FAILED_LOAD:
        return "the last load failed"
    text = re.sub(r"\s*\([^()]*\b\w+_\w+[^()]*\)", "", finding.text)
    text = re.sub(r"\s*(Run|Set|See|Check):?\s[^.]*m365-jobs[^.]*\.?", "", text)
    text = re.sub(r"https?://\S+", "the service", text)
    return re.sub(r"\b[a-z]+(?:_[a-z0-9]+)+\b", _plain_word, text)


def _plain_word(match: re.Match[str]) -> str:
    return labels.SERVICES.get(match[0], match[0].replace("_", " "))
