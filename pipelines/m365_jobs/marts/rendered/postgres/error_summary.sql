CREATE OR REPLACE VIEW "m365_shipped_dataset"."error_summary" AS
SELECT
  e.tenant,
  j.object_type,
  e.value AS error_message,
  CAST(LEAST(GREATEST(SUM(COALESCE(e.number, 1)), -9223372036854775807), 9223372036854775807) AS BIGINT) AS occurrences,
  COUNT(DISTINCT e.job_id) AS jobs,
  MIN(COALESCE(j.finish_time, j.start_time)) AS first_seen,
  MAX(COALESCE(j.finish_time, j.start_time)) AS last_seen,
  MAX(NULLIF(e.url, '')) AS url
FROM "m365_shipped_dataset"."jobs__job_errors" AS e
JOIN "m365_shipped_dataset"."jobs" AS j
  ON j.tenant = e.tenant AND j.id = e.job_id
GROUP BY
  e.tenant,
  j.object_type,
  e.value
