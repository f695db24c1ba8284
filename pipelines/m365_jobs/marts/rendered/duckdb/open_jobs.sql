CREATE OR REPLACE VIEW "m365_shipped_dataset"."open_jobs" AS
WITH complete_loads AS MATERIALIZED (
  SELECT
    p.tenant AS tenant,
    p.location AS location,
    p.object_type AS object_type,
    p.complete_until AS data_as_of
  FROM (
    WITH listings AS (
      SELECT
        a.tenant AS tenant,
        a.location AS location,
        a.object_type AS object_type,
        a.run_id AS run_id,
        MAX(a.window_end) AS window_end,
        MIN(CASE WHEN a.complete = TRUE THEN 1 ELSE 0 END) AS complete
      FROM "m365_shipped_dataset"."load_audit" AS a
      WHERE
        a.job_type IS NULL
      GROUP BY
        a.tenant,
        a.location,
        a.object_type,
        a.run_id
    ), partitions AS (
      SELECT
        i.tenant AS tenant,
        i.location AS location,
        i.object_type AS object_type
      FROM listings AS i
      UNION
      SELECT
        j.tenant AS tenant,
        j.location AS location,
        j.object_type AS object_type
      FROM "m365_shipped_dataset"."jobs" AS j
    ), relevant AS (
      SELECT
        p.tenant AS tenant,
        p.location AS location,
        p.object_type AS object_type,
        i.run_id AS run_id,
        i.window_end AS window_end,
        i.complete AS complete
      FROM partitions AS p
      JOIN listings AS i
        ON i.tenant = p.tenant
        AND COALESCE(i.location, '') = COALESCE(p.location, '')
        AND COALESCE(i.object_type, '') = COALESCE(p.object_type, '')
      UNION ALL
      SELECT
        p.tenant AS tenant,
        p.location AS location,
        p.object_type AS object_type,
        i.run_id AS run_id,
        i.window_end AS window_end,
        i.complete AS complete
      FROM partitions AS p
      JOIN listings AS i
        ON i.tenant = p.tenant AND COALESCE(i.location, '') = COALESCE(p.location, '')
      WHERE
        i.object_type IS NULL AND NOT p.object_type IS NULL
      UNION ALL
      SELECT
        p.tenant AS tenant,
        p.location AS location,
        p.object_type AS object_type,
        i.run_id AS run_id,
        i.window_end AS window_end,
        i.complete AS complete
      FROM partitions AS p
      JOIN listings AS i
        ON i.tenant = p.tenant AND COALESCE(i.object_type, '') = COALESCE(p.object_type, '')
      WHERE
        i.location IS NULL AND NOT p.location IS NULL
      UNION ALL
      SELECT
        p.tenant AS tenant,
        p.location AS location,
        p.object_type AS object_type,
        i.run_id AS run_id,
        i.window_end AS window_end,
        i.complete AS complete
      FROM partitions AS p
      JOIN listings AS i
        ON i.tenant = p.tenant
      WHERE
        i.location IS NULL
        AND i.object_type IS NULL
        AND NOT p.location IS NULL
        AND NOT p.object_type IS NULL
    ), loads AS (
      SELECT
        r.tenant AS tenant,
        r.location AS location,
        r.object_type AS object_type,
        MAX(r.window_end) AS window_end,
        MIN(r.complete) AS complete
      FROM relevant AS r
      GROUP BY
        r.tenant,
        r.location,
        r.object_type,
        r.run_id
    ), reached AS (
      SELECT
        l.tenant AS tenant,
        l.location AS location,
        l.object_type AS object_type,
        MAX(CASE WHEN l.complete = 1 THEN l.window_end END) AS complete_until
      FROM loads AS l
      GROUP BY
        l.tenant,
        l.location,
        l.object_type
    )
    SELECT
      e.tenant AS tenant,
      e.location AS location,
      e.object_type AS object_type,
      e.complete_until AS complete_until
    FROM reached AS e
  ) AS p
)
SELECT
  f.tenant AS tenant,
  f.id AS id,
  f.location AS location,
  f.object_type AS object_type,
  f.job_type AS job_type,
  f.start_time AS start_time,
  (
    EPOCH(CASE WHEN p.data_as_of >= f.start_time THEN p.data_as_of ELSE f.fetched_at END) - EPOCH(f.start_time)
  ) / 3600 AS hours_open
FROM (
  SELECT
    j.tenant AS tenant,
    j.id AS id,
    j.location AS location,
    j.object_type AS object_type,
    j.job_type AS job_type,
    j.start_time AS start_time,
    j.finish_time AS finish_time,
    j.fetched_at AS fetched_at,
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
  LEFT JOIN "m365_shipped_dataset"."state_words" AS w
    ON w.word = j.state
) AS f
LEFT JOIN complete_loads AS p
  ON p.tenant = f.tenant
  AND COALESCE(p.object_type, '') = COALESCE(f.object_type, '')
  AND COALESCE(p.location, '') = COALESCE(f.location, '')
WHERE
  f.finish_time IS NULL AND f.outcome IN ('running', 'other')
