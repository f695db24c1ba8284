-- about = """\
--   How long are backups kept? The versions in force: one row per tenant, location, level, service and container."""
-- key = ["tenant", "location", "level", "service", "container_id"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Location that was asked for; null for the central location."
-- level = "text: default, service, container, or unassigned (objects that no container holds any more)."
-- service_type = "bigint: Code of the companions' serviceType; null at level default."
-- service = "text: Its name in the vendor's words; null at level default."
-- object_type = "text: The same service as jobs.object_type names it; null where it has no counterpart."
-- container_id = "text: Container, at level container."
-- container_name = "text: Its name."
-- retention_period = "text: How long, in the vendor's words."
-- retention_days = "bigint, days: The same in days; null for Unlimited and for unknown words."
-- daily_retention_enabled = "boolean: Whether daily retention is on; at level default only."
-- custom_retention_enabled = "boolean: Whether policies of single services are on; at level default only."
-- valid_from = "timestamp, UTC: The load that read this version first."
SELECT
    r.tenant,
    r.location,
    r.level,
    r.service_type,
    r.service,
    r.object_type,
    r.container_id,
    r.container_name,
    r.retention_period,
    r.retention_days,
    r.daily_retention_enabled,
    r.custom_retention_enabled,
    r.valid_from
FROM retention_policies AS r
WHERE r.valid_to IS NULL
