CREATE OR REPLACE VIEW "m365_shipped_dataset"."suspicious_days" AS
WITH days AS (
  SELECT
    d.tenant AS tenant,
    d.location AS location,
    d.object_type AS object_type,
    d.day AS day,
    CAST(SUM(d.failed_objects) AS DOUBLE) AS failed_objects
  FROM (
    SELECT
      CAST(f.finish_time AT TIME ZONE 'UTC' AS DATE) AS day,
      f.tenant AS tenant,
      f.location AS location,
      f.object_type AS object_type,
      CAST(LEAST(
        GREATEST(COALESCE(SUM(f.failed_number), 0), -9223372036854775807),
        9223372036854775807
      ) AS BIGINT) AS failed_objects
    FROM (
      SELECT
        j.tenant AS tenant,
        j.location AS location,
        j.object_type AS object_type,
        j.job_type AS job_type,
        j.finish_time AS finish_time,
        d.failed_number AS failed_number
      FROM "m365_shipped_dataset"."jobs" AS j
      LEFT JOIN "m365_shipped_dataset"."jobs__backup_details" AS d
        ON d.tenant = j.tenant AND d.job_id = j.id
    ) AS f
    WHERE
      NOT f.finish_time IS NULL
    GROUP BY
      CAST(f.finish_time AT TIME ZONE 'UTC' AS DATE),
      f.tenant,
      f.location,
      f.object_type,
      f.job_type
  ) AS d
  WHERE
    NOT d.object_type IS NULL
  GROUP BY
    d.tenant,
    d.location,
    d.object_type,
    d.day
), compared AS (
  SELECT
    d.tenant AS tenant,
    d.location AS location,
    d.object_type AS object_type,
    d.day AS day,
    d.failed_objects AS failed_objects,
    AVG(d.failed_objects) OVER (
      PARTITION BY d.tenant, d.location, d.object_type
      ORDER BY d.day
      ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING
    ) AS mean_before,
    COUNT(*) OVER (
      PARTITION BY d.tenant, d.location, d.object_type
      ORDER BY d.day
      ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING
    ) AS days_before
  FROM days AS d
), jobs_of_day AS (
  SELECT
    c.tenant AS tenant,
    c.location AS location,
    c.object_type AS object_type,
    c.day AS day,
    c.failed_objects AS failed_objects,
    CASE WHEN c.days_before >= 7 THEN c.mean_before END AS usual,
    CASE
      WHEN c.days_before >= 7
      AND c.failed_objects >= 10
      AND c.failed_objects > 2 * c.mean_before
      THEN 1
      ELSE 0
    END AS jump
  FROM compared AS c
), activity AS (
  SELECT
    u.tenant AS tenant,
    u.location AS location,
    u.object_type AS object_type,
    CASE WHEN u.object_type IS NULL THEN COALESCE(u.service, '') END AS service,
    u.day AS day,
    CAST(LEAST(
      GREATEST(SUM(COALESCE(u.potential_ransomware_attack_count, 0)), -9223372036854775807),
      9223372036854775807
    ) AS BIGINT) AS attacks,
    CAST(LEAST(
      GREATEST(SUM(COALESCE(u.unusual_activities_count, 0)), -9223372036854775807),
      9223372036854775807
    ) AS BIGINT) AS activities
  FROM "m365_shipped_dataset"."unusual_activity" AS u
  WHERE
    u.potential_ransomware_attack_count > 0 OR u.unusual_activities_count > 0
  GROUP BY
    u.tenant,
    u.location,
    u.object_type,
    CASE WHEN u.object_type IS NULL THEN COALESCE(u.service, '') END,
    u.day
), both_sides AS (
  SELECT
    a.tenant AS tenant,
    a.location AS location,
    a.object_type AS object_type,
    a.service AS service,
    a.day AS day
  FROM activity AS a
  UNION
  SELECT
    j.tenant AS tenant,
    j.location AS location,
    j.object_type AS object_type,
    CAST(NULL AS TEXT) AS service,
    j.day AS day
  FROM jobs_of_day AS j
  WHERE
    j.jump = 1
)
SELECT
  b.tenant AS tenant,
  b.location AS location,
  b.object_type AS object_type,
  b.service AS service,
  b.day AS day,
  COALESCE(a.attacks, 0) AS potential_ransomware_attacks,
  COALESCE(a.activities, 0) AS unusual_activities,
  CAST(COALESCE(j.failed_objects, 0) AS BIGINT) AS failed_objects,
  j.usual AS usual_failed_objects,
  CASE
    WHEN NOT a.tenant IS NULL AND j.jump = 1
    THEN 'both'
    WHEN NOT a.tenant IS NULL
    THEN 'activity'
    ELSE 'failed_objects'
  END AS signals
FROM both_sides AS b
LEFT JOIN activity AS a
  ON a.tenant = b.tenant
  AND a.day = b.day
  AND COALESCE(a.object_type, '') = COALESCE(b.object_type, '')
  AND COALESCE(a.service, '') = COALESCE(b.service, '')
  AND COALESCE(a.location, '') = COALESCE(b.location, '')
LEFT JOIN jobs_of_day AS j
  ON j.tenant = b.tenant
  AND j.day = b.day
  AND j.object_type = b.object_type
  AND COALESCE(j.location, '') = COALESCE(b.location, '')
