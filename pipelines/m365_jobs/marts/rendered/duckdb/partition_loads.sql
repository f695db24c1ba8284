CREATE OR REPLACE VIEW "m365_shipped_dataset"."partition_loads" AS
WITH listings AS (
  SELECT
    a.tenant,
    a.location,
    a.object_type,
    a.run_id,
    MAX(a.window_end) AS window_end,
    MAX(a.started_at) AS started_at,
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
    i.tenant,
    i.location,
    i.object_type
  FROM listings AS i
  UNION
  SELECT
    j.tenant,
    j.location,
    j.object_type
  FROM "m365_shipped_dataset"."jobs" AS j
), relevant AS (
  SELECT
    p.tenant,
    p.location,
    p.object_type,
    i.run_id,
    i.window_end,
    i.started_at,
    i.complete
  FROM partitions AS p
  JOIN listings AS i
    ON i.tenant = p.tenant
    AND COALESCE(i.location, '') = COALESCE(p.location, '')
    AND COALESCE(i.object_type, '') = COALESCE(p.object_type, '')
  UNION ALL
  SELECT
    p.tenant,
    p.location,
    p.object_type,
    i.run_id,
    i.window_end,
    i.started_at,
    i.complete
  FROM partitions AS p
  JOIN listings AS i
    ON i.tenant = p.tenant AND COALESCE(i.location, '') = COALESCE(p.location, '')
  WHERE
    i.object_type IS NULL AND NOT p.object_type IS NULL
  UNION ALL
  SELECT
    p.tenant,
    p.location,
    p.object_type,
    i.run_id,
    i.window_end,
    i.started_at,
    i.complete
  FROM partitions AS p
  JOIN listings AS i
    ON i.tenant = p.tenant AND COALESCE(i.object_type, '') = COALESCE(p.object_type, '')
  WHERE
    i.location IS NULL AND NOT p.location IS NULL
  UNION ALL
  SELECT
    p.tenant,
    p.location,
    p.object_type,
    i.run_id,
    i.window_end,
    i.started_at,
    i.complete
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
    r.tenant,
    r.location,
    r.object_type,
    r.run_id,
    MAX(r.window_end) AS window_end,
    MAX(r.started_at) AS started_at,
    MIN(r.complete) AS complete
  FROM relevant AS r
  GROUP BY
    r.tenant,
    r.location,
    r.object_type,
    r.run_id
), reached AS (
  SELECT
    l.tenant,
    l.location,
    l.object_type,
    MAX(CASE WHEN l.complete = 1 THEN l.window_end END) AS complete_until,
    MAX(CASE WHEN l.complete = 0 THEN l.window_end END) AS incomplete_until,
    MAX(CASE WHEN l.complete = 1 THEN l.started_at END) AS last_complete_load_at,
    MAX(CASE WHEN l.complete = 0 THEN l.started_at END) AS last_incomplete_load_at,
    MAX(l.started_at) AS last_load_at
  FROM loads AS l
  GROUP BY
    l.tenant,
    l.location,
    l.object_type
)
SELECT
  e.tenant,
  e.location,
  e.object_type,
  e.complete_until,
  e.last_complete_load_at,
  e.last_load_at,
  CASE
    WHEN e.complete_until IS NULL
    THEN FALSE
    WHEN e.incomplete_until > e.complete_until
    THEN FALSE
    WHEN e.last_incomplete_load_at > e.last_complete_load_at
    THEN FALSE
    ELSE TRUE
  END AS complete
FROM reached AS e
