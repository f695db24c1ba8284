"""List everything that can be wrong, the most severe first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.health import check_queries as queries
from m365_jobs.health import companion_checks as companions
from m365_jobs.health.protection import ProtectionStatus, unknown_service_reason
from m365_jobs.text import format_count, format_time
from m365_jobs.warehouse.tenant_scope import TenantScope

Row = dict[str, Any]

PROBLEM, WARNING = "problem", "warning"

STALE, NOTHING, FAILED_LOAD, CREDENTIALS = "stale", "nothing_to_judge", "failed_load", "credentials"
"""Kinds that ``evaluate`` finds without a query of its own."""


@dataclass(frozen=True)
class Check:
    """Describe a kind of finding. Without ``query`` another part of ``evaluate`` finds it.

    From a row ``describe`` returns the ``text`` for people, and ``about``, which tells findings of a partition apart.
    """

    kind: str
    severity: str
    meaning: str
    """One line for the reference page."""
    query: str = ""
    describe: Callable[[Row], Row] = dict
    values: Callable[[], Row | None] = dict
    """Values of the query; None where the check is off."""


@dataclass(frozen=True)
class Reason:
    """Describe a finding for a person. ``about`` tells it apart from others of its kind in its partition."""

    kind: str
    tenant: str | None
    text: str
    location: str | None = None
    object_type: str | None = None
    about: str = ""

    @property
    def severity(self) -> str:
        """Return problem or warning."""
        return CHECKS[self.severity_rank].severity

    @property
    def severity_rank(self) -> int:
        """Return 0 for the most severe kind."""
        return RANKS[self.kind]


def run_checks(scope: TenantScope) -> Iterator[Reason]:
    """Yield what the checks with a query find; nothing before the first load."""
    for check in CHECKS:
        if not check.query:
            continue
        values = check.values()
        if values is None:
            continue
        try:
            rows = scope.rows(check.query, **values)
        except DestinationUndefinedEntity:
            continue
        for row in _without_parts(rows) if check.kind == "incomplete" else rows:
            partition: dict[str, Any] = {key: row.get(key) for key in ("tenant", "location", "object_type")}
            yield Reason(check.kind, **partition, **check.describe(row))


def _without_parts(rows: list[Row]) -> Iterator[Row]:
    """Yield the rows without those of services whose listing of all services is among them: they have one cause."""
    wholes = {(row["tenant"], row["location"]) for row in rows if row["object_type"] is None}
    for row in rows:
        covered = {(row["tenant"], row["location"]), (row["tenant"], None)} & wholes
        own = (row["tenant"], row["location"]) if row["object_type"] is None else None
        if not covered - {own}:
            yield row


def last_loads(scope: TenantScope) -> dict[str, datetime]:
    """Return the start of the newest recorded load of each tenant; nothing before the first load."""
    try:
        return {row["tenant"]: row["started_at"] for row in scope.rows(queries.LAST_LOADS)}
    except DestinationUndefinedEntity:
        return {}


def tenants_with_unknown_services(scope: TenantScope) -> dict[str, str]:
    """Return the tenants that have jobs of an unknown service, each with the reason."""
    try:
        rows = scope.rows("SELECT j.tenant, count(*) AS jobs, count(j.object_type) AS known FROM jobs AS j GROUP BY 1")
    except DestinationUndefinedEntity:
        return {}
    counts = {row["tenant"]: (row["jobs"] - row["known"], row["known"]) for row in rows}
    return {tenant: unknown_service_reason(*count) for tenant, count in counts.items() if count[0]}


def unknown_states(scope: TenantScope) -> Iterator[str]:
    """Yield a message for each unknown state."""
    for row in scope.rows(queries.UNKNOWN_STATES):
        yield str(_state(row)["text"])


def check_failures(scope: TenantScope) -> list[Row]:
    """Return the data checks and lasting findings of each tenant's newest load, each with its ``text``."""
    return [row | _check_failure(row) for row in scope.rows(queries.CHECK_FAILURES)]


def failed_load(row: Row) -> Row:
    """Return the message about a load that failed."""
    return {"text": f"the last load ({format_time(row['started_at'])}) failed ({row['error_kind']}): {row['detail']}"}


def _incomplete(row: Row) -> Row:
    at = format_time(row["last_load_at"])
    return {"text": f"the last load ({at}) could not prove it complete; the next tries again"}


def _unreconciled(row: Row) -> Row:
    period = f"{format_time(row['period_start'])} to {format_time(row['period_end'])}"
    return {
        "text": f"the API counts {row['api_total']:,} jobs from {period} and does not show all of them; "
        f"the warehouse held {row['warehouse_jobs']:,} before the load. Run m365-jobs verify."
    }


def _check_failure(row: Row) -> Row:
    example = f", for instance {row['example']}" if row["example"] else ""
    jobs = f" ({format_count(row['jobs'], 'job')}{example})" if row["jobs"] else ""
    return {"text": f"{row['rule']}: {row['problem']}{jobs}", "about": row["rule"]}


def _slow(row: Row) -> Row:
    text = (
        f"{row['job_type'] or 'job'} {row['id']} has been running for {row['hours_open']:.1f} h "
        f"(normally up to {row['hours']:.1f} h)"
    )
    return {"text": text, "about": row["id"]}


def _failed_backups(row: Row) -> Row:
    share = f"{100 * row['failed'] / row['jobs']:.0f} %"
    backups = f"{row['failed']:,} of {format_count(row['jobs'], 'backup')}"
    last = f", the last {format_time(row['last_at'])}" if row["last_at"] else ""
    return {"text": f"{backups} of the last 14 days failed ({share}){last}; one of several policies may fail each time"}


def _failed_objects(row: Row) -> Row:
    return {"text": f"{row['failed']:,} objects failed in the last 24 h (normally up to {row['usual']:,})"}


def _restores(row: Row) -> Row:
    restores = format_count(row["jobs"], "restore")
    return {"text": f"{restores} failed in the last 7 days, the last {format_time(row['last_at'])}"}


def _empty(row: Row) -> Row:
    jobs = format_count(row["jobs"], "backup")
    return {"text": f"{jobs} ended with 0 objects in the last 7 days, the last {format_time(row['last_at'])}"}


def _state(row: Row) -> Row:
    jobs = format_count(row["jobs"], "job")
    started = f"the last started {format_time(row['last_at'])}"
    text = f"state {row['state']!r} ({jobs}, {started}) is unrecognised and counts as other"
    return {"text": text, "about": str(row["state"])}


CHECKS: tuple[Check, ...] = (
    Check(ProtectionStatus.failing, PROBLEM, "The last two backups or more did not succeed."),
    Check(ProtectionStatus.never, PROBLEM, "No backup has succeeded yet."),
    Check(ProtectionStatus.missed, PROBLEM, "A scheduled service had no backup for 1.5 intervals of its schedule."),
    Check(
        ProtectionStatus.late,
        PROBLEM,
        "The last success is older than 1.5 intervals of the schedule; if that is unknown, than `allowed_age_hours`.",
    ),
    Check(
        "out_of_policy",
        PROBLEM,
        "The subscription is out of policy: new objects are not backed up, although jobs succeed.",
        companions.OUT_OF_POLICY,
        companions.out_of_policy,
    ),
    Check(STALE, PROBLEM, "The data ends more than `max_data_age_hours` ago, so services are `unknown`."),
    Check(
        ProtectionStatus.unknown,
        PROBLEM,
        "No load was proved complete, or it is unknown which jobs are backups, or which service they belong to.",
    ),
    Check(NOTHING, PROBLEM, "The warehouse is empty, or a tenant was never loaded or has no service to evaluate."),
    Check(FAILED_LOAD, WARNING, "The tenant's last load failed.", queries.LOADS, failed_load),
    Check(
        "incomplete", WARNING, "The last load could not prove a partition complete.", queries.INCOMPLETE, _incomplete
    ),
    Check(
        "unreconciled",
        WARNING,
        "The API counts more jobs of the last 30 days than it shows.",
        queries.UNRECONCILED,
        _unreconciled,
    ),
    Check(
        "unusual_activity",
        WARNING,
        "Sites look attacked in the last 3 days, or show unusual activity beside a jump of failed objects.",
        companions.UNUSUAL_ACTIVITY,
        companions.unusual_activity,
    ),
    Check(
        "retention_shortened",
        WARNING,
        "A retention period was shortened or switched off in the last 30 days.",
        companions.RETENTION_SHORTENED,
        companions.retention_shortened,
    ),
    Check(
        "license_nearly_used",
        WARNING,
        "90 % of seats or storage are in use, or they run out or the policy ends within 30 days.",
        companions.LICENSE_NEARLY_USED,
        companions.license_nearly_used,
    ),
    Check(
        "failed_backups",
        WARNING,
        "A quarter or more of a service's backups of 14 days failed: one of several policies may fail each time.",
        queries.FAILED_BACKUPS,
        _failed_backups,
    ),
    Check(
        "check_failure",
        WARNING,
        "A data check or finding of the tenant's newest load: broken data rules, jobs outside the lists.",
        queries.CHECK_FAILURES,
        _check_failure,
    ),
    Check(CREDENTIALS, WARNING, "The credentials have ended, or end within 30 days."),
    Check(
        ProtectionStatus.running_long,
        WARNING,
        "The last success is too old, but a backup has been running for less than 48 hours.",
    ),
    Check(
        ProtectionStatus.onboarding,
        WARNING,
        "The first backup of a service is running, or the service has been scheduled for less than a day.",
    ),
    Check(
        "slow_job",
        WARNING,
        "A job has been running for more than twice what is usual, and for an hour or more.",
        queries.SLOW,
        _slow,
    ),
    Check(
        "failed_objects",
        WARNING,
        "More objects failed in the last 24 hours than twice what is usual, and 10 or more.",
        queries.FAILED_OBJECTS,
        _failed_objects,
    ),
    Check("failed_restores", WARNING, "Restores failed in the last 7 days.", queries.FAILED_RESTORES, _restores),
    Check("empty_backups", WARNING, "Backups ended with 0 objects in the last 7 days.", queries.EMPTY_BACKUPS, _empty),
    Check(
        "restore_untested",
        WARNING,
        "No restore of a service succeeded within `restore_test_days`.",
        companions.RESTORE_UNTESTED,
        companions.restore_untested,
        companions.restore_values,
    ),
    Check(
        "unknown_state",
        WARNING,
        "The API returned an unrecognised state; its jobs count as `other`.",
        queries.UNKNOWN_STATES,
        _state,
    ),
)
"""All kinds of findings, the most severe first. A problem makes the warehouse unhealthy, a warning does not."""

RANKS = {check.kind: rank for rank, check in enumerate(CHECKS)}
