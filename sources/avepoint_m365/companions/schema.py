"""Define the tables of the companions: columns, keys, units, and where the vendor contradicts itself."""

from __future__ import annotations

from typing import Any

from avepoint_m365.schema import TENANT, Column, Table, count, flag, number, required, text, time

LOCATION = text("location", "Location that was asked for; null where none was: see the table.")
SERVICE_TYPE = count("service_type", "Code of the companions' serviceType; null for a word that is unknown.", "")
SERVICE = text("service", "Its name in the vendor's words; the API's own value where it is unknown.")
OBJECT_TYPE = text("object_type", "The same service as jobs.object_type names it; null where it has no counterpart.")
SETTING_SCOPE = required(text("setting_scope", "Tenant and location as one text, for merging; never null."))
VALID_FROM = time("valid_from", "The load that read this version first; it may have been in force before.")
VALID_TO = time("valid_to", "The load that no longer read it; null for the version in force.")

LICENSE_CONSUMPTION = Table(
    "license_consumption",
    "Licence consumption (GET /backup/m365/cloudbackuplicenseconsumption): a snapshot per UTC day and location, the "
    "last of the day. Without a location it covers all locations.",
    ("tenant", "id"),
    (
        required(TENANT),
        required(text("id", "Day and location.")),
        Column("day", "date", "UTC day of the snapshot."),
        LOCATION,
        count("purchased_user_seats", "Seats bought.", "seats"),
        count("assigned_user_seats", "Seats in use.", "seats"),
        number("purchased_storage_gb", "Storage bought.", "GB"),
        number("protected_size_gb", "Data that is protected.", "GB"),
        time(
            "out_of_policy_at",
            "outOfPolicyTime as a time; null where it is 0. The vendor's table says when the subscription went out of "
            "policy, its sample when it expires: a time in the past is read as the first, one ahead as the second.",
        ),
        count(
            "out_of_policy_time_raw",
            "outOfPolicyTime as the API sent it. Its unit is undocumented; seconds, milliseconds and .NET ticks are "
            "told apart by their size.",
            "",
        ),
        time("snapshot_at", "When it was read."),
    ),
)

UNUSUAL_ACTIVITY = Table(
    "unusual_activity",
    "Unusual activity (GET /backup/m365/cloudbackupunusualactivitydata): a row per UTC day, location and service with "
    "any; a day that was still running is replaced. Both counts are sites; the vendor's table swaps their meanings.",
    ("tenant", "id"),
    (
        required(TENANT),
        required(text("id", "Day, location, service and Microsoft 365 tenant.")),
        Column("day", "date", "UTC day that was asked for."),
        LOCATION,
        text("m365_tenant_id", "Id of the Microsoft 365 tenant."),
        text("tenant_owner", "Its owner, as AvePoint names it."),
        SERVICE_TYPE,
        SERVICE,
        OBJECT_TYPE,
        count("potential_ransomware_attack_count", "Sites that look attacked by ransomware.", "sites"),
        count("unusual_activities_count", "Sites with unusual activity.", "sites"),
        flag("day_complete", "Whether the day had ended when it was read."),
        time("fetched_at", "When it was read."),
    ),
)

BACKUP_SCHEDULES = Table(
    "backup_schedules",
    "How often each service is to be backed up (GET /backup/m365/settings/backup/frequency), with every earlier "
    "version. The API lists active services only; without a location, those of the central location only. A backup is "
    "skipped while the one before it runs, so this many a day are not guaranteed.",
    ("tenant", "id", "valid_from"),
    (
        required(TENANT),
        required(text("id", "Stands for the content: the same schedule has the same id again.")),
        LOCATION,
        SETTING_SCOPE,
        SERVICE_TYPE,
        SERVICE,
        OBJECT_TYPE,
        number("backups_per_day", "Backups a day; 0, without a service, where no service is scheduled.", "backups"),
        number("interval_hours", "24 divided by it.", "hours"),
        VALID_FROM,
        VALID_TO,
    ),
    merge_key=("setting_scope",),
)

START_TIMES = Table(
    "backup_schedules__start_times",
    "At which times of the UTC day a schedule starts backups: a row per start time.",
    ("tenant", "schedule_id", "start_index"),
    (
        required(TENANT),
        required(text("schedule_id", "The schedule, as backup_schedules.id.")),
        Column("start_index", "bigint", "Place in the list, from 0.", nullable=False),
        text("start_time", "Time of day, such as 09:00. The API sends it as a time stamp of the current day.", "UTC"),
        count("minute_of_day", "The same as minutes since midnight.", "minutes"),
        flag("listed", "Whether the API listed it; where it lists fewer than backups a day, they are spread evenly."),
    ),
)

RETENTION_POLICIES = Table(
    "retention_policies",
    "How long backups are kept (GET /backup/m365/settings/retention-policy), with every earlier version: a row per "
    "level, service and container. Without a location, the policy of the central location only.",
    ("tenant", "id", "valid_from"),
    (
        required(TENANT),
        required(text("id", "Stands for the content: the same policy has the same id again.")),
        LOCATION,
        SETTING_SCOPE,
        text("level", "default, service, container, or unassigned (objects that no container holds any more)."),
        SERVICE_TYPE,
        SERVICE,
        OBJECT_TYPE,
        text("container_id", "Container, at level container."),
        text("container_name", "Its name."),
        text("retention_period", "How long, in the vendor's words, such as 1 years or Unlimited."),
        count(
            "retention_days",
            "The same in days: a year has 365, a month a twelfth of them; null for Unlimited and for unknown words.",
            "days",
        ),
        flag("daily_retention_enabled", "Whether daily retention is on; at level default only."),
        flag("custom_retention_enabled", "Whether policies of single services are on; at level default only."),
        VALID_FROM,
        VALID_TO,
    ),
    merge_key=("setting_scope",),
)

SERVICE_TYPES = Table(
    "service_types",
    "The companions' serviceType beside the objectType of jobs: a row per service type. Public Folder Metadata, "
    "Private Channel and Shared Channel have no counterpart.",
    ("service_type",),
    (
        required(Column("service_type", "bigint", "Code of serviceType.")),
        text("service", "Its name in the vendor's words."),
        text("object_type", "The same service as jobs.object_type names it; null where it has no counterpart."),
    ),
)

COMPANION_LOADS = Table(
    "companion_loads",
    "When each companion was asked and with which outcome: a row per companion, location and UTC day. Settings changed "
    "between two of its rows with status loaded.",
    ("tenant", "id"),
    (
        required(TENANT),
        required(text("id", "Companion, location and time.")),
        text("companion", "licenses, unusual_activity, schedule or retention."),
        LOCATION,
        text("status", "loaded, permission_missing, not_available (the host lacks the endpoint) or failed."),
        text("permission", "Permission that the companion needs."),
        text("detail", "What went wrong; null where it was loaded."),
        time("asked_at", "When it was asked."),
    ),
    append=True,
)

HISTORY = (BACKUP_SCHEDULES, RETENTION_POLICIES)
"""Tables whose earlier versions dlt keeps (scd2)."""

TABLES = (
    LICENSE_CONSUMPTION,
    UNUSUAL_ACTIVITY,
    BACKUP_SCHEDULES,
    START_TIMES,
    RETENTION_POLICIES,
    COMPANION_LOADS,
    SERVICE_TYPES,
)


def resource_hints(table: Table) -> dict[str, Any]:
    """Return the arguments of ``dlt.resource`` for rows of a table."""
    if table in HISTORY:
        strategy: Any = {"strategy": "scd2", "validity_column_names": [VALID_FROM.name, VALID_TO.name]}
        # dlt tells versions by the content of the row, not by a key.
        key: tuple[str, ...] = ()
    else:
        strategy, key = {"strategy": "delete-insert"}, table.key
    return {
        "name": table.name,
        "columns": table.dlt_columns,
        "write_disposition": {"disposition": "merge", **strategy},
        "primary_key": list(key) or None,
        "merge_key": list(table.merge_key) or None,
    }
