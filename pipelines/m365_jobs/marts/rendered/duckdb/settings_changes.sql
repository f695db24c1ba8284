CREATE OR REPLACE VIEW "m365_shipped_dataset"."settings_changes" AS
WITH stored AS (
  SELECT
    s.tenant,
    s.location,
    'schedule' AS companion,
    'schedule' AS setting,
    'service' AS level,
    s.service,
    s.object_type,
    CAST(NULL AS TEXT) AS container_id,
    CAST(NULL AS TEXT) AS container_name,
    CAST(CAST(ROUND(s.backups_per_day) AS BIGINT) AS TEXT) || ' a day' AS value,
    s.backups_per_day AS amount,
    s.id AS content,
    s.valid_from,
    s.valid_to
  FROM "m365_shipped_dataset"."backup_schedules" AS s
  WHERE
    NOT s.service IS NULL
  UNION ALL
  SELECT
    r.tenant,
    r.location,
    'retention' AS companion,
    'retention' AS setting,
    r.level,
    r.service,
    r.object_type,
    r.container_id,
    r.container_name,
    r.retention_period AS value,
    CASE
      WHEN NOT r.retention_days IS NULL
      THEN CAST(r.retention_days AS DOUBLE)
      WHEN LOWER(TRIM(r.retention_period)) IN (
        'unlimited',
        'forever',
        'indefinite',
        'indefinitely',
        'never',
        'never expire',
        'never expires'
      )
      THEN 1e9
    END AS amount,
    r.retention_period AS content,
    r.valid_from,
    r.valid_to
  FROM "m365_shipped_dataset"."retention_policies" AS r
  UNION ALL
  SELECT
    r.tenant,
    r.location,
    'retention' AS companion,
    w.setting,
    r.level,
    r.service,
    r.object_type,
    r.container_id,
    r.container_name,
    CASE
      WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = TRUE
      THEN 'on'
      WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = FALSE
      THEN 'off'
      WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = TRUE
      THEN 'on'
      WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = FALSE
      THEN 'off'
    END AS value,
    CAST(NULL AS DOUBLE) AS amount,
    CASE
      WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = TRUE
      THEN 'on'
      WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = FALSE
      THEN 'off'
      WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = TRUE
      THEN 'on'
      WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = FALSE
      THEN 'off'
    END AS content,
    r.valid_from,
    r.valid_to
  FROM "m365_shipped_dataset"."retention_policies" AS r
  CROSS JOIN (
    SELECT
      'daily_retention' AS setting
    UNION ALL
    SELECT
      'custom_retention'
  ) AS w
  WHERE
    r.level = 'default'
), compared AS (
  SELECT
    s.tenant,
    s.location,
    s.companion,
    s.setting,
    s.level,
    s.service,
    s.object_type,
    s.container_id,
    s.container_name,
    s.value,
    s.amount,
    CASE
      WHEN s.setting = 'retention' AND NOT s.amount IS NULL
      THEN CAST(s.amount AS TEXT)
      ELSE s.content
    END AS content,
    COUNT(s.content) OVER (
      PARTITION BY s.tenant, s.location, s.setting, s.level, s.service, s.container_id
      ORDER BY s.valid_from
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS known,
    s.valid_from,
    s.valid_to
  FROM stored AS s
), versions AS (
  SELECT
    c.tenant,
    c.location,
    c.companion,
    c.setting,
    c.level,
    c.service,
    c.object_type,
    c.container_id,
    c.container_name,
    MAX(c.value) OVER (
      PARTITION BY c.tenant, c.location, c.setting, c.level, c.service, c.container_id, c.known
    ) AS value,
    MAX(c.amount) OVER (
      PARTITION BY c.tenant, c.location, c.setting, c.level, c.service, c.container_id, c.known
    ) AS amount,
    MAX(c.content) OVER (
      PARTITION BY c.tenant, c.location, c.setting, c.level, c.service, c.container_id, c.known
    ) AS content,
    c.valid_from,
    c.valid_to
  FROM compared AS c
), firsts AS (
  SELECT
    s.tenant,
    s.location,
    'schedule' AS companion,
    MIN(s.valid_from) AS first_known
  FROM "m365_shipped_dataset"."backup_schedules" AS s
  GROUP BY
    s.tenant,
    s.location
  UNION ALL
  SELECT
    r.tenant,
    r.location,
    'retention' AS companion,
    MIN(r.valid_from) AS first_known
  FROM "m365_shipped_dataset"."retention_policies" AS r
  GROUP BY
    r.tenant,
    r.location
), pairs AS (
  SELECT
    COALESCE(n.tenant, o.tenant) AS tenant,
    COALESCE(n.location, o.location) AS location,
    COALESCE(n.companion, o.companion) AS companion,
    COALESCE(n.setting, o.setting) AS setting,
    COALESCE(n.level, o.level) AS level,
    COALESCE(n.service, o.service) AS service,
    COALESCE(n.object_type, o.object_type) AS object_type,
    COALESCE(n.container_id, o.container_id) AS container_id,
    COALESCE(n.container_name, o.container_name) AS container_name,
    o.value AS old_value,
    n.value AS new_value,
    o.amount AS old_amount,
    n.amount AS new_amount,
    o.content AS old_content,
    n.content AS new_content,
    CASE WHEN o.tenant IS NULL THEN 1 ELSE 0 END AS is_new,
    CASE WHEN n.tenant IS NULL THEN 1 ELSE 0 END AS is_gone,
    COALESCE(n.valid_from, o.valid_to) AS changed_before
  FROM versions AS o
  FULL OUTER JOIN versions AS n
    ON n.tenant = o.tenant
    AND n.setting = o.setting
    AND n.level = o.level
    AND COALESCE(n.location, '') = COALESCE(o.location, '')
    AND COALESCE(n.service, '') = COALESCE(o.service, '')
    AND COALESCE(n.container_id, '') = COALESCE(o.container_id, '')
    AND n.valid_from = o.valid_to
), reads AS (
  SELECT
    c.tenant,
    c.location,
    c.companion,
    c.asked_at,
    LAG(c.asked_at) OVER (PARTITION BY c.tenant, c.location, c.companion ORDER BY c.asked_at) AS asked_before,
    LEAD(c.asked_at) OVER (PARTITION BY c.tenant, c.location, c.companion ORDER BY c.asked_at) AS asked_after
  FROM "m365_shipped_dataset"."companion_loads" AS c
  WHERE
    c.status = 'loaded'
)
SELECT
  p.tenant,
  p.location,
  p.setting,
  p.level,
  p.service,
  p.object_type,
  p.container_id,
  p.container_name,
  CASE
    WHEN p.is_gone = 1 OR (
      p.old_value = 'on' AND p.new_value = 'off'
    )
    THEN 'switched_off'
    WHEN p.is_new = 1 OR (
      p.old_value = 'off' AND p.new_value = 'on'
    )
    THEN 'switched_on'
    WHEN p.setting = 'schedule' AND p.new_amount < p.old_amount
    THEN 'less_often'
    WHEN p.setting = 'schedule' AND p.new_amount > p.old_amount
    THEN 'more_often'
    WHEN p.new_amount < p.old_amount
    THEN 'shortened'
    WHEN p.new_amount > p.old_amount
    THEN 'lengthened'
    ELSE 'changed'
  END AS change,
  p.old_value,
  p.new_value,
  r.asked_before AS changed_after,
  p.changed_before
FROM pairs AS p
JOIN firsts AS f
  ON f.tenant = p.tenant
  AND f.companion = p.companion
  AND COALESCE(f.location, '') = COALESCE(p.location, '')
LEFT JOIN reads AS r
  ON r.tenant = p.tenant
  AND r.companion = p.companion
  AND COALESCE(r.location, '') = COALESCE(p.location, '')
  AND r.asked_at <= p.changed_before
  AND (
    r.asked_after IS NULL OR r.asked_after > p.changed_before
  )
WHERE
  p.changed_before > f.first_known
  AND (
    p.is_new = 1
    OR p.is_gone = 1
    OR COALESCE(p.old_content, '') <> COALESCE(p.new_content, '')
  )
