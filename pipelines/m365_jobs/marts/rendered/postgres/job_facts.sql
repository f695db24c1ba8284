CREATE OR REPLACE VIEW "m365_shipped_dataset"."job_facts" AS
WITH errors AS (
  SELECT
    e.tenant,
    e.job_id,
    COUNT(DISTINCT e.value) AS distinct_errors,
    CAST(LEAST(GREATEST(SUM(COALESCE(e.number, 1)), -9223372036854775807), 9223372036854775807) AS BIGINT) AS error_occurrences
  FROM "m365_shipped_dataset"."jobs__job_errors" AS e
  GROUP BY
    e.tenant,
    e.job_id
)
SELECT
  j.tenant,
  j.id,
  j.location,
  j.object_type,
  j.job_type,
  j.state,
  j.start_time,
  j.finish_time,
  j.duration_hours,
  j.first_seen_at,
  j.fetched_at,
  d.total_number,
  d.failed_number,
  d.successful_number,
  d.skipped_number,
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
  END AS outcome,
  CAST(d.failed_number AS DOUBLE PRECISION) / NULLIF(d.total_number, 0) AS failed_ratio,
  COALESCE(errors.distinct_errors, 0) AS distinct_errors,
  COALESCE(errors.error_occurrences, 0) AS error_occurrences,
  CASE
    WHEN d.failed_number > COALESCE(errors.error_occurrences, 0)
    THEN TRUE
    ELSE FALSE
  END AS errors_may_be_cut
FROM "m365_shipped_dataset"."jobs" AS j
LEFT JOIN "m365_shipped_dataset"."jobs__backup_details" AS d
  ON d.tenant = j.tenant AND d.job_id = j.id
LEFT JOIN "m365_shipped_dataset"."state_words" AS w
  ON w.word = j.state
LEFT JOIN errors
  ON errors.tenant = j.tenant AND errors.job_id = j.id
