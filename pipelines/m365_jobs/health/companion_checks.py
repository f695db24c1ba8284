"""Check the companions: scheduled backups, licence, unusual activity, retention, and tests of restores."""

from __future__ import annotations

from typing import Any

from m365_jobs.config.protection import restore_test_days
from m365_jobs.health.check_queries import NEWEST
from m365_jobs.health.check_texts import FindingText
from m365_jobs.text import format_count, format_time, singular_period

Row = dict[str, Any]

NEARLY_USED = 0.9
"""Share of seats or storage in use from which there is a warning."""

AHEAD_DAYS = 30
"""Days before the end of the policy, or of seats and storage, from which there is a warning."""

MISSED_BACKUP = f"""
WITH {NEWEST},
recent AS (
    SELECT c.tenant, c.location, c.object_type, CAST(sum(c.scheduled) AS BIGINT) AS scheduled,
        CAST(sum(c.missed) AS BIGINT) AS missed, min(c.day) AS first_day,
        max(CASE WHEN c.missed > 0 THEN c.day END) AS last_day
    FROM schedule_compliance AS c
    JOIN newest AS n ON n.tenant = c.tenant
    WHERE epoch(n.loaded_until) - epoch(c.day) < 4 * 86400
    GROUP BY c.tenant, c.location, c.object_type
)
SELECT r.tenant, r.location, r.object_type, r.scheduled, r.missed, r.first_day, r.last_day
FROM recent AS r
WHERE r.missed > 0
"""

OUT_OF_POLICY = """
WITH told AS (
    -- A response without outOfPolicyTime does not end what an earlier one said.
    SELECT l.tenant, l.location, l.out_of_policy_at, l.snapshot_at,
        row_number() OVER (PARTITION BY l.tenant, l.location ORDER BY l.day DESC) AS place
    FROM license_consumption AS l
    WHERE l.out_of_policy_at IS NOT NULL OR l.out_of_policy_time_raw IS NOT NULL
)
SELECT k.tenant, k.location, k.out_of_policy_at, k.snapshot_at
FROM told AS k
WHERE k.place = 1 AND k.out_of_policy_at IS NOT NULL AND epoch(k.out_of_policy_at) <= epoch(k.snapshot_at)
"""

LICENSE_NEARLY_USED = f"""
WITH ranked AS (
    SELECT l.tenant, l.location, l.day, l.out_of_policy_at, l.snapshot_at,
        row_number() OVER (PARTITION BY l.tenant, l.location ORDER BY l.day DESC) AS place
    FROM license_consumption AS l
)
SELECT t.tenant, t.location, t.assigned_user_seats, t.purchased_user_seats, t.seats_used_ratio, t.seats_run_out_on,
    t.protected_size_gb, t.purchased_storage_gb, t.storage_used_ratio, t.storage_run_out_on,
    CASE WHEN epoch(k.out_of_policy_at) > epoch(k.snapshot_at) THEN k.out_of_policy_at END AS ends_at
FROM ranked AS k
JOIN license_trend AS t
    ON t.tenant = k.tenant AND t.day = k.day AND coalesce(t.location, '') = coalesce(k.location, '')
WHERE k.place = 1 AND (
    t.seats_used_ratio >= {NEARLY_USED}
    OR t.storage_used_ratio >= {NEARLY_USED}
    OR t.seats_run_out_on <= t.day + {AHEAD_DAYS}
    OR t.storage_run_out_on <= t.day + {AHEAD_DAYS}
    OR epoch(k.out_of_policy_at) - epoch(k.snapshot_at) BETWEEN 1 AND {AHEAD_DAYS} * 86400
)
"""

UNUSUAL_ACTIVITY = f"""
WITH {NEWEST}
SELECT s.tenant, s.location, s.object_type, s.service, s.day, s.potential_ransomware_attacks,
    s.unusual_activities, s.failed_objects, s.signals
FROM suspicious_days AS s
JOIN newest AS n ON n.tenant = s.tenant
WHERE (s.potential_ransomware_attacks > 0 OR s.signals = 'both')
    AND epoch(n.loaded_until) - epoch(s.day) <= 3 * 86400
"""

RETENTION_SHORTENED = f"""
WITH {NEWEST}
SELECT s.tenant, s.location, s.object_type, s.level, s.service, s.container_name, s.setting, s.change, s.old_value,
    s.new_value, s.changed_after, s.changed_before
FROM settings_changes AS s
JOIN newest AS n ON n.tenant = s.tenant
WHERE s.setting <> 'schedule' AND s.change IN ('shortened', 'switched_off')
    AND epoch(n.loaded_until) - epoch(s.changed_before) <= 30 * 86400
"""

RESTORE_UNTESTED = """
SELECT r.tenant, r.location, r.object_type, r.last_restore_at, r.last_restore_age_days
FROM restore_evidence AS r
WHERE r.last_restore_age_days IS NULL OR r.last_restore_age_days > :restore_test_days
"""


def restore_values() -> Row | None:
    """Return the value of the check on restore tests; None if the check is switched off."""
    days = restore_test_days()
    return {"restore_test_days": days} if days else None


def missed_backup(row: Row) -> FindingText:
    """Return the message about scheduled backups that did not start."""
    backups = f"{row['missed']:,} of {format_count(row['scheduled'], 'scheduled backup')}"
    return FindingText(f"{backups} since {row['first_day']} did not start in time, the last on {row['last_day']}")


def out_of_policy(row: Row) -> FindingText:
    """Return the message about a subscription that is out of policy."""
    since = format_time(row["out_of_policy_at"])
    text = f"out of policy since {since}: objects that are new since then are not backed up, although jobs succeed"
    return FindingText(text)


def license_nearly_used(row: Row) -> FindingText:
    """Return the message about seats, storage or time that run out."""
    parts = []
    for name, used, bought, unit in (
        ("seats", row["assigned_user_seats"], row["purchased_user_seats"], "seats"),
        ("storage", row["protected_size_gb"], row["purchased_storage_gb"], "GB"),
    ):
        runs_out = row[f"{name}_run_out_on"]
        if bought:
            forecast = f", run out on {runs_out}" if runs_out else ""
            parts.append(f"{used or 0:,.0f} of {bought:,.0f} {unit} in use{forecast}")
    if row["ends_at"]:
        parts.append(f"the policy ends on {format_time(row['ends_at'])}")
    return FindingText("; ".join(parts))


def unusual_activity(row: Row) -> FindingText:
    """Return the message about a suspicious day."""
    text = (
        f"{format_count(row['potential_ransomware_attacks'], 'site')} with a potential ransomware attack and "
        f"{format_count(row['unusual_activities'], 'site')} with unusual activity on {row['day']}"
    )
    if row["signals"] == "both":
        text += f"; {format_count(row['failed_objects'], 'object')} failed in jobs of that day"
    return FindingText(text, str(row["day"]))


def retention_shortened(row: Row) -> FindingText:
    """Return the message about a retention period that is shorter now."""
    scope = " ".join(part for part in (row["level"], row["service"], row["container_name"]) if part)
    read_first = format_time(row["changed_before"])
    loads = f"between the loads of {format_time(row['changed_after'])} and {read_first}"
    if row["changed_after"] is None:
        loads = f"before the load of {read_first}"
    word = "switched off" if row["change"] == "switched_off" else f"shortened from {singular_period(row['old_value'])}"
    now = f" to {singular_period(row['new_value'])}" if row["change"] == "shortened" else ""
    setting = row["setting"].replace("_", " ")
    text = f"{setting} ({scope}) was {word}{now}, {loads}"
    return FindingText(text, f"{row['setting']}/{scope}/{row['changed_before']}")


def restore_untested(row: Row) -> FindingText:
    """Return the message about a service without a recent restore."""
    last = row["last_restore_at"]
    if last is None:
        return FindingText("no restore has succeeded yet")
    age = format_count(round(row["last_restore_age_days"]), "day")
    return FindingText(f"the last successful restore was {format_time(last)}, {age} ago")
