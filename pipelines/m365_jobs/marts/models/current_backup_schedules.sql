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
WITH gaps AS (
    SELECT
        t.tenant,
        t.schedule_id,
        coalesce(
            lead(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id ORDER BY t.minute_of_day),
            min(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id) + 24 * 60
        ) - t.minute_of_day AS minutes
    FROM backup_schedules__start_times AS t
),
longest AS (
    SELECT g.tenant, g.schedule_id, CAST(max(g.minutes) AS DOUBLE) / 60 AS hours
    FROM gaps AS g
    GROUP BY g.tenant, g.schedule_id
)
SELECT
    s.tenant,
    s.location,
    s.service_type,
    s.service,
    s.object_type,
    s.backups_per_day,
    s.interval_hours,
    CASE WHEN k.hours > s.interval_hours THEN k.hours ELSE s.interval_hours END AS longest_interval_hours,
    s.valid_from,
    s.id
FROM backup_schedules AS s
LEFT JOIN longest AS k ON k.tenant = s.tenant AND k.schedule_id = s.id
WHERE s.valid_to IS NULL AND s.service IS NOT NULL
