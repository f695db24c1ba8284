CREATE OR REPLACE VIEW "m365_shipped_dataset"."daily_summary" AS
SELECT
  CAST(f.finish_time AT TIME ZONE 'UTC' AS DATE) AS day,
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
  CAST(COALESCE(SUM(EPOCH(f.finish_time) - EPOCH(f.start_time)), 0) AS DOUBLE) / 3600 AS duration_hours
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
) AS f
WHERE
  NOT f.finish_time IS NULL
GROUP BY
  CAST(f.finish_time AT TIME ZONE 'UTC' AS DATE),
  f.tenant,
  f.location,
  f.object_type,
  f.job_type
