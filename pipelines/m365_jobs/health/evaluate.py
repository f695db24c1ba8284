"""Evaluate protection: verdict, findings and completeness, for terminal, reports and alerts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.config import tenants
from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.protection import max_data_age
from m365_jobs.errors.exceptions import FINE, UNHEALTHY, UsageError
from m365_jobs.health import check_texts, run_checks
from m365_jobs.health.causes import with_causes
from m365_jobs.health.checks import CREDENTIALS, FAILED_LOAD, NOT_PROVED, NOTHING, PROBLEM, STALE, WARNING
from m365_jobs.health.expiry import expiries
from m365_jobs.health.finding import Finding, partition_label
from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.load.run_log import UnsentRuns
from m365_jobs.text import format_count, format_duration, format_time
from m365_jobs.warehouse.pipeline import pipeline_name
from m365_jobs.warehouse.target import Target, address_of, fingerprint
from m365_jobs.warehouse.tenant_scope import TenantScope, open_scope

Row = dict[str, Any]

PROTECTION = "SELECT * FROM protection_status AS p"

DAILY_SCHEDULE_HOURS = 26
"""The ``max_data_age_hours`` for one load a day."""


class Completeness(NamedTuple):
    """Hold what is not proved complete: tenants without a load, tenants whose last load failed, and partitions."""

    never_loaded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Return whether everything that was requested is proved complete."""
        return not (self.never_loaded or self.failed or self.incomplete)

    @property
    def text(self) -> str:
        """Return it as sentences."""
        if self.proved:
            return "Everything that was asked for is proved complete."
        parts = (
            ("Never loaded", self.never_loaded),
            ("The last load failed", self.failed),
            ("Not proved complete", self.incomplete),
        )
        return " ".join(f"{title}: {', '.join(names)}." for title, names in parts if names)


class Evaluation(NamedTuple):
    """Hold the state of protection at ``evaluated_at`` (UTC).

    ``findings`` and ``protection`` are in order of severity over all tenants and locations. ``protection`` are the rows
    of ``protection_status``. Their ``status`` is ``unknown`` if the data is older than ``max_data_age_hours``; ``was``
    is the status in the view, and ``data_age_hours`` the age of the data.
    """

    warehouse: str
    evaluated_at: datetime
    max_data_age_hours: float
    findings: list[Finding]
    protection: list[Row]
    completeness: Completeness

    @property
    def problems(self) -> list[Finding]:
        """Return the findings that make the warehouse unhealthy."""
        return [finding for finding in self.findings if finding.severity == PROBLEM]

    @property
    def warnings(self) -> list[Finding]:
        """Return the other findings."""
        return [finding for finding in self.findings if finding.severity == WARNING]

    @property
    def verdict(self) -> str:
        """Return Healthy or UNHEALTHY."""
        return "UNHEALTHY" if self.problems else "Healthy"

    @property
    def exit_code(self) -> int:
        """Return 0, or 4 with problems."""
        return UNHEALTHY if self.problems else FINE


def evaluate(pipeline: Target, names: Sequence[str] = (), max_age_hours: float | None = None) -> Evaluation:
    """Evaluate the named tenants, or all that are configured or loaded.

    ``max_age_hours`` is the allowed age of data in hours; the configured one if unset.

    Raises:
        UsageError: for an unknown tenant.
        ConfigurationError: for invalid settings.
    """
    if max_age_hours is not None and not max_age_hours > 0:
        raise UsageError(f"--max-age-hours {max_age_hours:g} must be above 0.")
    limit = max_data_age() if max_age_hours is None else max_age_hours
    with open_scope(pipeline, names) as scope:
        return evaluate_scope(scope, pipeline, names, limit)


def evaluate_scope(scope: TenantScope, pipeline: Target, names: Sequence[str], limit: float) -> Evaluation:
    """Evaluate in an open scope; ``limit`` is the allowed age of data in hours."""
    now = datetime.now(UTC)
    loaded = scope.loaded_tenants()
    expected = sorted({*loaded, *(names or tenants.configured())})
    rows = _protection(scope, now, limit)
    unknown_services = run_checks.tenants_with_unknown_services(scope)
    findings = [*_unprotected(rows, limit, unknown_services), *_not_evaluated(expected, loaded, rows, unknown_services)]
    since = run_checks.history_begins(scope)
    unrecorded = list(_unrecorded(pipeline, names or [*expected, configured_tenant()], scope))
    newer = {load.tenant for load in unrecorded}
    results = run_checks.run_checks(scope, since, rows)
    findings += [finding for finding in results if finding.kind != FAILED_LOAD or finding.tenant not in newer]
    findings += [*unrecorded, *_credentials(expected)]
    findings = list(with_causes(scope, findings, since))
    findings.sort(key=_finding_order)
    completeness = _completeness(expected, loaded, findings)
    return Evaluation(address_of(pipeline), now, limit, findings, rows, completeness)


def _completeness(expected: Sequence[str], loaded: Collection[str], findings: Iterable[Finding]) -> Completeness:
    failed, incomplete = [], []
    for finding in findings:
        if finding.kind == FAILED_LOAD:
            failed.append(finding.tenant or "")
        elif finding.kind == NOT_PROVED:
            incomplete.append(partition_label(finding.tenant, finding.location, finding.object_type) or "all services")
    never = tuple(name for name in expected if name not in loaded)
    return Completeness(never or (() if expected else ("this warehouse",)), tuple(failed), tuple(incomplete))


def _unrecorded(pipeline: Target, names: Iterable[str], scope: TenantScope) -> Iterator[Finding]:
    """Yield failed last loads that the warehouse has no row of.

    Mostly the warehouse itself was the cause. Their rows are on the machine that loads.
    """
    known = run_checks.last_loads(scope)
    for tenant in sorted(set(names)):
        unsent = UnsentRuns(pipeline.pipelines_dir, pipeline_name(tenant), fingerprint(pipeline))
        last = max(unsent.rows(), key=lambda run: run.started_at, default=None)
        if last and (tenant not in known or known[tenant] < last.started_at):
            text = check_texts.failed_load(last._asdict()).text
            yield Finding(FAILED_LOAD, tenant, f"{text} The warehouse has no record of it yet.")


def _protection(scope: TenantScope, now: datetime, limit: float) -> list[Row]:
    try:
        rows = scope.rows(PROTECTION)
    except DestinationUndefinedEntity:
        return []
    for row in rows:
        as_of = row["data_as_of"]
        row["data_age_hours"] = (now - as_of).total_seconds() / 3600 if as_of else None
        row["was"] = row["status"]
        if row["status"] != ProtectionStatus.ignored and as_of and row["data_age_hours"] > limit:
            row["status"] = str(ProtectionStatus.unknown)
    return sorted(rows, key=by_severity)


def _finding_order(finding: Finding) -> tuple[int, str, str, str, str, str]:
    """Return the sort key of a finding: the most severe kind first, and no tie for a destination to decide."""
    place = (finding.tenant or "", finding.location or "", finding.service_name or "")
    return finding.severity_rank, *place, finding.about, finding.text


def by_severity(row: Row) -> tuple[int, str, str, str]:
    """Return the sort key of a row of ``protection_status``: the most severe status first, over all locations."""
    rank = ProtectionStatus(row["status"]).rank
    return rank, row["tenant"], row["location"] or "", row["object_type"]


def _unprotected(rows: Iterable[Row], limit: float, unknown_services: Mapping[str, str]) -> Iterator[Finding]:
    stale: dict[str, list[Row]] = {}
    for row in rows:
        status = ProtectionStatus(row["status"])
        if not status.severity:
            continue
        if status is ProtectionStatus.unknown and row["data_age_hours"] is not None and row["data_age_hours"] > limit:
            stale.setdefault(row["tenant"], []).append(row)
            continue
        partition = {key: row[key] for key in ("tenant", "location", "object_type")}
        yield Finding(str(status), text=_status_text(row, unknown_services), **partition)
    for tenant, late in stale.items():
        yield Finding(STALE, tenant, _stale_text(late, limit))


def _stale_text(rows: Sequence[Row], limit: float) -> str:
    oldest = min(rows, key=lambda row: row["data_as_of"])
    names = ", ".join("/".join(filter(None, (row["location"], row["object_type"]))) for row in rows)
    age = oldest["data_age_hours"]
    cure = ""
    if limit < DAILY_SCHEDULE_HOURS and age <= DAILY_SCHEDULE_HOURS:
        cure = (
            f". Load more often; or if loads run once a day, set max_data_age_hours = {DAILY_SCHEDULE_HOURS} in "
            "[sources.avepoint_m365]"
        )
    return (
        f"the warehouse is late: its data ends at {format_time(oldest['data_as_of'])}, {format_duration(age)} ago "
        f"(allowed {format_duration(limit)}), so nothing is known of {names}{cure}"
    )


def _status_text(row: Row, unknown_services: Mapping[str, str]) -> str:
    last = row["last_success_at"]
    success = f"the last success was {format_time(last)}" if last else "none has succeeded yet"
    match row["status"]:
        case "failing":
            return f"{format_count(row['consecutive_failures'], 'backup')} in a row did not succeed; {success}"
        case "never":
            failures = row["consecutive_failures"]
            return "no backup has succeeded yet" + (f"; {failures} ended without success" if failures else "")
        case "onboarding" if row["open_jobs"]:
            return "the first backup is running"
        case "onboarding":
            return "no backup has succeeded yet; the service has been scheduled for less than a day"
        case "missed":
            return _missed_text(row, success)
        case "late":
            return f"{success}, {format_duration(row['hours_since_success'])} before the data ends"
        case "running_long":
            return f"{success}, {format_duration(row['hours_since_success'])} before the data ends; a backup is running"
    if row["data_as_of"] is None:
        return "no load has been proved complete yet"
    if row["tenant"] in unknown_services:
        return f"whether any job is of this service is not known: {unknown_services[row['tenant']]}"
    return "the job type of its jobs is unknown, so backups cannot be told from other jobs (set split_job_types)"


def _missed_text(row: Row, success: str) -> str:
    interval, last = f"{row['scheduled_interval_hours']:g} h", row["last_backup_at"]
    if last is None:
        return f"no backup has ever started, although one is scheduled every {interval}"
    silent = format_duration((row["data_as_of"] - last).total_seconds() / 3600)
    return f"no backup ran for {silent} before the data ends, although one is scheduled every {interval}; {success}"


def _not_evaluated(
    expected: Sequence[str], loaded: Collection[str], rows: Sequence[Row], unknown_services: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield a finding for each tenant without any service to evaluate."""
    evaluated = {row["tenant"] for row in rows if row["status"] != ProtectionStatus.ignored}
    for tenant in expected:
        if tenant not in loaded:
            yield Finding(NOTHING, tenant, "no load has been made yet")
        elif tenant not in evaluated and tenant in unknown_services:
            yield Finding(NOTHING, tenant, f"no service can be evaluated: {unknown_services[tenant]}")
        elif tenant not in evaluated:
            text = "no service is expected or had a backup in the last 30 days, except ignored ones"
            yield Finding(NOTHING, tenant, text)
    if not expected:
        yield Finding(NOTHING, None, "the warehouse is empty")


def _credentials(names: Iterable[str]) -> Iterator[Finding]:
    for tenant, expiry in expiries(names):
        yield Finding(CREDENTIALS, tenant, f"the credentials {expiry.text}")
