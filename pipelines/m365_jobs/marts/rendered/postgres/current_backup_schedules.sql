CREATE OR REPLACE VIEW "m365_shipped_dataset"."current_backup_schedules" AS
WITH gaps AS (
  SELECT
    t.tenant,
    t.schedule_id,
    COALESCE(
      LEAD(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id ORDER BY t.minute_of_day),
      MIN(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id) + 24 * 60
    ) - t.minute_of_day AS minutes
  FROM "m365_shipped_dataset"."backup_schedules__start_times" AS t
), longest AS (
  SELECT
    g.tenant,
    g.schedule_id,
    CAST(MAX(g.minutes) AS DOUBLE PRECISION) / 60 AS hours
  FROM gaps AS g
  GROUP BY
    g.tenant,
    g.schedule_id
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
FROM "m365_shipped_dataset"."backup_schedules" AS s
LEFT JOIN longest AS k
  ON k.tenant = s.tenant AND k.schedule_id = s.id
WHERE
  s.valid_to IS NULL AND NOT s.service IS NULL
