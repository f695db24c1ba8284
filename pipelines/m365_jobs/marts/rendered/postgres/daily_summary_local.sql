CREATE OR REPLACE VIEW "m365_shipped_dataset"."daily_summary_local" AS
WITH zones_of AS MATERIALIZED (
  SELECT
    z.tenant AS tenant,
    z.time_zone AS time_zone
  FROM (
    WITH zones AS (
      SELECT
        'm365_shipped_zones' AS tenant
    )
    SELECT
      z.tenant AS tenant,
      z.time_zone AS time_zone
    FROM zones AS z
  ) AS z
), finished AS (
  SELECT
    j.tenant AS tenant,
    j.location AS location,
    j.object_type AS object_type,
    j.job_type AS job_type,
    j.outcome AS outcome,
    j.start_time AS start_time,
    j.finish_time AS finish_time,
    j.total_number AS total_number,
    j.failed_number AS failed_number,
    COALESCE(o.time_zone, r.time_zone) AS time_zone
  FROM (
    SELECT
      j.tenant AS tenant,
      j.location AS location,
      j.object_type AS object_type,
      j.job_type AS job_type,
      j.start_time AS start_time,
      j.finish_time AS finish_time,
      d.total_number AS total_number,
      d.failed_number AS failed_number,
      CASE j.state
        WHEN 'Finished'
        THEN 'success'
        WHEN 'Finished with Exception'
        THEN 'warning'
        WHEN 'Partially Finished'
        THEN 'warning'
        WHEN 'Failed'
        THEN 'failure'
        WHEN 'In Progress'
        THEN 'running'
        WHEN 'InProgress'
        THEN 'running'
        WHEN '1'
        THEN 'running'
        WHEN '2'
        THEN 'success'
        WHEN '3'
        THEN 'failure'
        WHEN '4'
        THEN 'warning'
        WHEN '5'
        THEN 'warning'
        ELSE CASE REGEXP_REPLACE(LOWER(j.state COLLATE "C"), '[^a-z0-9]', '', 'g')
          WHEN 'finished'
          THEN 'success'
          WHEN 'finishedwithexception'
          THEN 'warning'
          WHEN 'finishedexception'
          THEN 'warning'
          WHEN 'partiallyfinished'
          THEN 'warning'
          WHEN 'failed'
          THEN 'failure'
          WHEN 'inprogress'
          THEN 'running'
          ELSE CASE w.state
            WHEN 1
            THEN 'running'
            WHEN 2
            THEN 'success'
            WHEN 3
            THEN 'failure'
            WHEN 4
            THEN 'warning'
            WHEN 5
            THEN 'warning'
            ELSE 'other'
          END
        END
      END AS outcome
    FROM "m365_shipped_dataset"."jobs" AS j
    LEFT JOIN "m365_shipped_dataset"."jobs__backup_details" AS d
      ON d.tenant = j.tenant AND d.job_id = j.id
    LEFT JOIN "m365_shipped_dataset"."state_words" AS w
      ON w.word = j.state
  ) AS j
  JOIN zones_of AS r
    ON r.tenant = ''
  LEFT JOIN zones_of AS o
    ON o.tenant = j.tenant
  WHERE
    NOT j.finish_time IS NULL
)
SELECT
  CAST(f.finish_time AT TIME ZONE f.time_zone AS DATE) AS day,
  f.time_zone AS time_zone,
  f.tenant AS tenant,
  f.location AS location,
  f.object_type AS object_type,
  f.job_type AS job_type,
  COUNT(*) AS jobs,
  COUNT(CASE WHEN f.outcome = 'success' THEN 1 END) AS succeeded_jobs,
  COUNT(CASE WHEN f.outcome = 'warning' THEN 1 END) AS warning_jobs,
  COUNT(CASE WHEN f.outcome = 'failure' THEN 1 END) AS failed_jobs,
  COUNT(CASE WHEN f.outcome IN ('running', 'other') THEN 1 END) AS other_jobs,
  CAST(LEAST(
    GREATEST(COALESCE(SUM(f.total_number), 0), -9223372036854775807),
    9223372036854775807
  ) AS BIGINT) AS total_objects,
  CAST(LEAST(
    GREATEST(COALESCE(SUM(f.failed_number), 0), -9223372036854775807),
    9223372036854775807
  ) AS BIGINT) AS failed_objects,
  CAST(COALESCE(SUM(DATE_PART('epoch', f.finish_time) - DATE_PART('epoch', f.start_time)), 0) AS DOUBLE PRECISION) / 3600 AS duration_hours
FROM finished AS f
GROUP BY
  CAST(f.finish_time AT TIME ZONE f.time_zone AS DATE),
  f.time_zone,
  f.tenant,
  f.location,
  f.object_type,
  f.job_type
