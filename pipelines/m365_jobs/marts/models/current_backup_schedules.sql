-- about = "How often is each service to be backed up? The version in force: one row per tenant, location and service."
-- key = ["tenant", "location", "service"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Location that was asked for; null for the central location."
-- service_type = "bigint: Code of the companions' serviceType; null for a word that is unknown."
-- service = "text: Its name in the vendor's words; the API's own value where it is unknown."
-- object_type = "text: The same service as jobs.object_type names it; null where it has no counterpart."
-- backups_per_day = "double, backups: Backups a day."
-- interval_hours = "double, hours: 24 divided by it."
-- longest_interval_hours = "double, hours: Longest time between two start times, at least interval_hours."
-- valid_from = "timestamp, UTC: The load that read this version first."
-- id = "text: Leads to backup_schedules__start_times.schedule_id."
-- last_read_at = "timestamp, UTC: The last load that read this version. It counts as the schedule for 30 days from then."
SELECT
    s.tenant,
    s.location,
    s.service_type,
    s.service,
    s.object_type,
    s.backups_per_day,
    s.interval_hours,
    s.longest_interval_hours,
    s.valid_from,
    s.id,
    s.last_read_at
FROM schedule_versions AS s
WHERE s.valid_to IS NULL AND s.service IS NOT NULL
