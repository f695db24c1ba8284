CREATE OR REPLACE VIEW "m365_shipped_dataset"."restore_evidence" AS
WITH newest AS (
  SELECT
    a.tenant AS tenant,
    MAX(a.window_end) AS loaded_until
  FROM "m365_shipped_dataset"."load_audit" AS a
  GROUP BY
    a.tenant
), services AS (
  SELECT
    f.tenant AS tenant,
    f.location AS location,
    f.object_type AS object_type
  FROM (
    SELECT
      j.tenant AS tenant,
      j.location AS location,
      j.object_type AS object_type,
      j.job_type AS job_type
    FROM "m365_shipped_dataset"."jobs" AS j
  ) AS f
  WHERE
    NOT f.object_type IS NULL AND f.job_type IN ('backup', 'restore')
  GROUP BY
    f.tenant,
    f.location,
    f.object_type
), restores AS (
  SELECT
    f.tenant AS tenant,
    f.location AS location,
    f.object_type AS object_type,
    f.id AS id,
    f.start_time AS start_time,
    f.finish_time AS finish_time,
    f.outcome AS outcome,
    f.successful_number AS successful_number,
    DATE_PART('epoch', n.loaded_until) - DATE_PART('epoch', f.finish_time) AS age_seconds,
    CASE
      WHEN f.outcome IN ('success', 'warning') AND f.successful_number >= 1
      THEN 1
      ELSE 0
    END AS proves
  FROM (
    SELECT
      j.tenant AS tenant,
      j.id AS id,
      j.location AS location,
      j.object_type AS object_type,
      j.job_type AS job_type,
      j.start_time AS start_time,
      j.finish_time AS finish_time,
      d.successful_number AS successful_number,
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
  JOIN newest AS n
    ON n.tenant = f.tenant
  WHERE
    f.job_type = 'restore' AND NOT f.finish_time IS NULL AND NOT f.object_type IS NULL
), last_proofs AS (
  SELECT
    r.tenant AS tenant,
    r.location AS location,
    r.object_type AS object_type,
    MAX(r.finish_time) AS finish_time
  FROM restores AS r
  WHERE
    r.proves = 1
  GROUP BY
    r.tenant,
    r.location,
    r.object_type
), ranked AS (
  SELECT
    r.tenant AS tenant,
    r.location AS location,
    r.object_type AS object_type,
    r.id AS id,
    r.start_time AS start_time,
    r.finish_time AS finish_time,
    r.successful_number AS successful_number,
    r.age_seconds AS age_seconds,
    ROW_NUMBER() OVER (
      PARTITION BY r.tenant, r.location, r.object_type
      ORDER BY r.id COLLATE "C" DESC NULLS LAST
    ) AS place
  FROM restores AS r
  JOIN last_proofs AS p
    ON p.tenant = r.tenant
    AND p.object_type = r.object_type
    AND COALESCE(p.location, '') = COALESCE(r.location, '')
    AND p.finish_time = r.finish_time
  WHERE
    r.proves = 1
), counted AS (
  SELECT
    r.tenant AS tenant,
    r.location AS location,
    r.object_type AS object_type,
    COUNT(CASE WHEN r.age_seconds <= 365 * 86400 THEN 1 END) AS restores_tried,
    COUNT(CASE WHEN r.age_seconds <= 365 * 86400 AND r.outcome = 'failure' THEN 1 END) AS restores_failed
  FROM restores AS r
  GROUP BY
    r.tenant,
    r.location,
    r.object_type
)
SELECT
  s.tenant AS tenant,
  s.location AS location,
  s.object_type AS object_type,
  k.finish_time AS last_restore_at,
  k.id AS last_restore_id,
  CAST(k.age_seconds AS DOUBLE PRECISION) / 86400 AS last_restore_age_days,
  CAST(DATE_PART('epoch', k.finish_time) - DATE_PART('epoch', k.start_time) AS DOUBLE PRECISION) / 3600 AS last_restore_hours,
  k.successful_number AS last_restore_objects,
  COALESCE(c.restores_tried, 0) AS restores_tried,
  COALESCE(c.restores_failed, 0) AS restores_failed
FROM services AS s
LEFT JOIN ranked AS k
  ON k.tenant = s.tenant
  AND k.object_type = s.object_type
  AND COALESCE(k.location, '') = COALESCE(s.location, '')
  AND k.place = 1
LEFT JOIN counted AS c
  ON c.tenant = s.tenant
  AND c.object_type = s.object_type
  AND COALESCE(c.location, '') = COALESCE(s.location, '')
