CREATE OR REPLACE VIEW "m365_shipped_dataset"."current_backup_schedules" AS
SELECT
  s.tenant AS tenant,
  s.location AS location,
  s.service_type AS service_type,
  s.service AS service,
  s.object_type AS object_type,
  s.backups_per_day AS backups_per_day,
  s.interval_hours AS interval_hours,
  s.longest_interval_hours AS longest_interval_hours,
  s.valid_from AS valid_from,
  s.id AS id,
  s.last_read_at AS last_read_at
FROM (
  WITH gaps AS (
    SELECT
      t.tenant AS tenant,
      t.schedule_id AS schedule_id,
      COALESCE(
        LEAD(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id ORDER BY t.minute_of_day),
        MIN(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id) + 24 * 60
      ) - t.minute_of_day AS minutes
    FROM "m365_shipped_dataset"."backup_schedules__start_times" AS t
  ), longest AS (
    SELECT
      g.tenant AS tenant,
      g.schedule_id AS schedule_id,
      CAST(MAX(g.minutes) AS DOUBLE PRECISION) / 60 AS hours
    FROM gaps AS g
    GROUP BY
      g.tenant,
      g.schedule_id
  ), reads AS (
    SELECT
      c.tenant AS tenant,
      c.location AS location,
      c.asked_at AS asked_at,
      LAG(c.asked_at) OVER (PARTITION BY c.tenant, c.location ORDER BY c.asked_at) AS asked_before,
      LEAD(c.asked_at) OVER (PARTITION BY c.tenant, c.location ORDER BY c.asked_at) AS asked_after
    FROM "m365_shipped_dataset"."companion_loads" AS c
    WHERE
      c.companion = 'schedule' AND c.status = 'loaded'
  ), versions AS (
    SELECT
      s.tenant AS tenant,
      s.location AS location,
      s.service_type AS service_type,
      s.service AS service,
      s.object_type AS object_type,
      s.backups_per_day AS backups_per_day,
      s.interval_hours AS interval_hours,
      s.valid_from AS valid_from,
      s.valid_to AS valid_to,
      s.id AS id,
      CASE WHEN s.valid_to IS NULL THEN r.asked_at ELSE r.asked_before END AS read_again_at
    FROM "m365_shipped_dataset"."backup_schedules" AS s
    LEFT JOIN reads AS r
      ON r.tenant = s.tenant
      AND COALESCE(r.location, '') = COALESCE(s.location, '')
      AND (
        s.valid_to IS NULL OR r.asked_at <= s.valid_to
      )
      AND (
        r.asked_after IS NULL OR r.asked_after > s.valid_to
      )
  ), dated AS (
    SELECT
      v.tenant AS tenant,
      v.location AS location,
      v.service_type AS service_type,
      v.service AS service,
      v.object_type AS object_type,
      v.backups_per_day AS backups_per_day,
      v.interval_hours AS interval_hours,
      v.valid_from AS valid_from,
      v.valid_to AS valid_to,
      v.id AS id,
      CASE WHEN v.read_again_at > v.valid_from THEN v.read_again_at ELSE v.valid_from END AS last_read_at
    FROM versions AS v
  )
  SELECT
    d.tenant AS tenant,
    d.location AS location,
    d.service_type AS service_type,
    d.service AS service,
    d.object_type AS object_type,
    d.backups_per_day AS backups_per_day,
    d.interval_hours AS interval_hours,
    CASE WHEN k.hours > d.interval_hours THEN k.hours ELSE d.interval_hours END AS longest_interval_hours,
    d.valid_from AS valid_from,
    d.valid_to AS valid_to,
    d.id AS id,
    d.last_read_at AS last_read_at
  FROM dated AS d
  LEFT JOIN longest AS k
    ON k.tenant = d.tenant AND k.schedule_id = d.id
) AS s
WHERE
  s.valid_to IS NULL AND NOT s.service IS NULL
