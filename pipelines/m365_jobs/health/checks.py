"""List all kinds of findings, the most severe first, each with its severity, meaning, action and query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from m365_jobs.health import check_queries as queries
from m365_jobs.health import check_texts as texts
from m365_jobs.health import companion_checks as companions
from m365_jobs.health.protection import ProtectionStatus

Row = dict[str, Any]

PROBLEM, WARNING = "problem", "warning"

STALE, NOTHING, FAILED_LOAD, CREDENTIALS = "stale", "nothing_to_judge", "failed_load", "credentials"
"""Kinds that ``evaluate`` finds without a query."""

NOT_PROVED = "incomplete"


def no_values() -> Row:
    """Return the values of a query that has none."""
    return {}


def all_rows(rows: list[Row]) -> list[Row]:
    """Return all rows of a query: each is a finding."""
    return rows


class Check(NamedTuple):
    """Describe a kind of finding. Without ``query``, other code of ``evaluate`` finds it."""

    kind: str
    severity: str
    meaning: str
    """One line for the reference page."""
    action: str
    """What the operator can do about it."""
    query: str = ""
    describe: Callable[[Row], texts.FindingText] | None = None
    """Writes the text of a finding from a row of the query; a check with a query has it."""
    values: Callable[[], Row | None] = no_values
    """Values of the query; None if the check is switched off."""
    needs: str = ""
    """A table that the query needs; without rows in it, the query does not run."""
    select: Callable[[list[Row]], Iterable[Row]] = all_rows
    """Filter that removes rows which another row explains."""
    causes: str = ""
    """Query of the most frequent error messages of the jobs behind the finding."""
    measure: str = ""
    """Column of ``protection_status`` that grows when the finding gets worse."""
    is_no_data: bool = False
    """Whether data is missing, which hides other findings: no alert closes while it lasts."""
    beside: frozenset[ProtectionStatus] = frozenset()
    """Statuses of the services that the check applies to, all if empty; other statuses are findings by themselves."""


RUNNING = frozenset({ProtectionStatus.protected, ProtectionStatus.late, ProtectionStatus.running_long})
"""Status of services whose backups run, and do not fail one after the other."""

CHECKS: tuple[Check, ...] = (
    Check(
        ProtectionStatus.failing,
        PROBLEM,
        "The last two backups or more did not succeed.",
        "Open its newest failed jobs in the vendor's portal, repair the cause, and run the backup again.",
        causes=queries.causes_query(30, queries.SINCE_SUCCESS),
        measure="consecutive_failures",
    ),
    Check(
        ProtectionStatus.never,
        PROBLEM,
        "No backup has succeeded yet.",
        "Compare its backup scope and the permissions of its app profile, then run a backup.",
        causes=queries.causes_query(30, queries.SINCE_SUCCESS),
    ),
    Check(
        ProtectionStatus.missed,
        PROBLEM,
        "A scheduled service had no backup for 1.5 intervals of its schedule.",
        "Check that its schedule is switched on, and that no earlier backup still runs.",
        measure="hours_since_success",
    ),
    Check(
        ProtectionStatus.late,
        PROBLEM,
        "The last success is older than 1.5 intervals of the schedule; if that is unknown, than `allowed_age_hours`.",
        "Check for a backup that does not end, and for a changed schedule.",
        causes=queries.causes_query(30, queries.SINCE_SUCCESS),
        measure="hours_since_success",
    ),
    Check(
        "out_of_policy",
        PROBLEM,
        "The subscription is out of policy: new objects are not backed up, although jobs succeed.",
        "Buy seats or storage, or take objects out of the backup scope.",
        companions.OUT_OF_POLICY,
        companions.out_of_policy,
    ),
    Check(
        STALE,
        PROBLEM,
        "The data ends more than `max_data_age_hours` ago, so services are `unknown`.",
        "Check m365-jobs status, and the scheduler that starts loads.",
        is_no_data=True,
    ),
    Check(
        ProtectionStatus.unknown,
        PROBLEM,
        "No load was proved complete, or it is unknown which jobs are backups, or which service they belong to.",
        "Run m365-jobs load, then m365-jobs status.",
        is_no_data=True,
    ),
    Check(
        NOTHING,
        PROBLEM,
        "The warehouse is empty, or a tenant was never loaded or has no service to evaluate.",
        "Run m365-jobs load. If no service had a backup, name those to protect in expected_object_types.",
        is_no_data=True,
    ),
    Check(
        FAILED_LOAD,
        WARNING,
        "The tenant's last load failed.",
        "Follow its message, then run m365-jobs check.",
        queries.LOADS,
        texts.failed_load,
    ),
    Check(
        NOT_PROVED,
        WARNING,
        "The last load could not prove a partition complete.",
        "Wait for the next load; if it stays, run m365-jobs verify.",
        queries.INCOMPLETE,
        texts.incomplete,
        select=queries.without_covered,
    ),
    Check(
        "unreconciled",
        WARNING,
        "The API counts more jobs of the last 30 days than it returns.",
        "Run m365-jobs verify.",
        queries.UNRECONCILED,
        texts.unreconciled,
    ),
    Check(
        "missed_backup",
        WARNING,
        "A scheduled backup of the last 3 days did not start within 1.5 intervals of the one before.",
        "Find out why it did not start; start one if the next is hours away.",
        companions.MISSED_BACKUP,
        companions.missed_backup,
        needs="backup_schedules",
        beside=RUNNING | {ProtectionStatus.failing},
    ),
    Check(
        "unusual_activity",
        WARNING,
        "A potential ransomware attack in the last 3 days, or unusual activity with a rise of failed objects.",
        "Review the sites in the vendor's report, and keep the backups from before that day.",
        companions.UNUSUAL_ACTIVITY,
        companions.unusual_activity,
    ),
    Check(
        "retention_shortened",
        WARNING,
        "A retention period was shortened or switched off in the last 30 days.",
        "Ask who changed it: older backups are deleted for good.",
        companions.RETENTION_SHORTENED,
        companions.retention_shortened,
    ),
    Check(
        "license_nearly_used",
        WARNING,
        "90 % of seats or storage are in use, or they run out or the policy ends within 30 days.",
        "Buy seats or storage before the date, or take objects out of the backup scope.",
        companions.LICENSE_NEARLY_USED,
        companions.license_nearly_used,
    ),
    Check(
        "failed_backups",
        WARNING,
        "A quarter or more of a service's backups of 14 days failed: one of several policies may fail each time.",
        "Compare the policies of the service by its jobs; repair the one that fails.",
        queries.FAILED_BACKUPS,
        texts.failed_backups,
        beside=RUNNING,
        causes=queries.causes_query(14, f"WHERE f.job_type = 'backup' AND {queries.UNSUCCESSFUL}"),
    ),
    Check(
        "check_failure",
        WARNING,
        "A data check or finding of the tenant's newest load: broken data rules, jobs outside the lists.",
        "Find the rule under Troubleshooting in the documentation.",
        queries.CHECK_FAILURES,
        texts.check_failure,
    ),
    Check(
        CREDENTIALS,
        WARNING,
        "The credentials have ended, or end within 30 days.",
        "Create new credentials in the vendor's portal and write them to secrets.toml.",
    ),
    Check(
        ProtectionStatus.running_long,
        WARNING,
        "The last success is too old, but a backup has been running for less than 48 hours.",
        "Wait for it; if it does not end, stop it in the vendor's portal and run it again.",
    ),
    Check(
        ProtectionStatus.onboarding,
        WARNING,
        "The first backup of a service is running, or the service has been scheduled for less than a day.",
        "Wait for the first backup.",
    ),
    Check(
        "slow_job",
        WARNING,
        "A job has been running for more than twice what is usual, and for an hour or more.",
        "Check its progress in the vendor's portal; if there is none, stop it and run it again.",
        queries.SLOW,
        texts.slow_job,
    ),
    Check(
        "failed_objects",
        WARNING,
        "More objects failed in the last 24 hours than twice what is usual, and 10 or more.",
        "Check the errors of the newest jobs; a missing permission often affects many objects.",
        queries.FAILED_OBJECTS,
        texts.failed_objects,
        causes=queries.causes_query(1, "WHERE f.failed_number > 0"),
    ),
    Check(
        "failed_restores",
        WARNING,
        "Restores failed in the last 7 days.",
        "Check the errors of these jobs, and repeat the restore.",
        queries.FAILED_RESTORES,
        texts.failed_restores,
        causes=queries.causes_query(7, "WHERE f.job_type = 'restore' AND f.outcome = 'failure'"),
    ),
    Check(
        "empty_backups",
        WARNING,
        "Backups ended with 0 objects in the last 7 days.",
        "Check that its backup scope still holds objects that the app profile can read.",
        queries.EMPTY_BACKUPS,
        texts.empty_backups,
    ),
    Check(
        "restore_untested",
        WARNING,
        "No restore of a service succeeded within `restore_test_days`.",
        "Restore an object to a test location.",
        companions.RESTORE_UNTESTED,
        companions.restore_untested,
        companions.restore_values,
    ),
    Check(
        "unknown_state",
        WARNING,
        "The API returned an unrecognised state; its jobs count as `other`.",
        "Report the state to the maintainers, so that it is counted.",
        queries.UNKNOWN_STATES,
        texts.unknown_state,
    ),
)
"""All kinds of findings, the most severe first. A problem makes the warehouse unhealthy, a warning does not."""
