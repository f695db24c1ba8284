CREATE OR REPLACE VIEW "m365_shipped_dataset"."license_trend" AS
WITH newest AS (
  SELECT
    l.tenant,
    l.location,
    MAX(l.day) AS day
  FROM "m365_shipped_dataset"."license_consumption" AS l
  GROUP BY
    l.tenant,
    l.location
), usage AS (
  SELECT
    l.tenant,
    l.location,
    l.day,
    l.assigned_user_seats,
    l.purchased_user_seats,
    l.protected_size_gb,
    l.purchased_storage_gb,
    CAST(EPOCH(l.day) - EPOCH(n.day) AS DOUBLE) / 86400 AS x
  FROM "m365_shipped_dataset"."license_consumption" AS l
  JOIN newest AS n
    ON n.tenant = l.tenant AND COALESCE(n.location, '') = COALESCE(l.location, '')
), points AS (
  SELECT
    u.tenant,
    u.location,
    'seats' AS what,
    u.x,
    CAST(u.assigned_user_seats AS DOUBLE) AS y
  FROM usage AS u
  WHERE
    u.x > -90 AND NOT u.assigned_user_seats IS NULL
  UNION ALL
  SELECT
    u.tenant,
    u.location,
    'storage' AS what,
    u.x,
    u.protected_size_gb AS y
  FROM usage AS u
  WHERE
    u.x > -90 AND NOT u.protected_size_gb IS NULL
), means AS (
  SELECT
    p.tenant,
    p.location,
    p.what,
    COUNT(*) AS n,
    AVG(p.x) AS mean_x,
    AVG(p.y) AS mean_y
  FROM points AS p
  GROUP BY
    p.tenant,
    p.location,
    p.what
  HAVING
    COUNT(*) >= 14
), moments AS (
  SELECT
    m.tenant,
    m.location,
    m.what,
    m.n,
    m.mean_x,
    m.mean_y,
    SUM((
      p.x - m.mean_x
    ) * (
      p.x - m.mean_x
    )) AS sxx,
    SUM((
      p.x - m.mean_x
    ) * (
      p.y - m.mean_y
    )) AS sxy,
    SUM((
      p.y - m.mean_y
    ) * (
      p.y - m.mean_y
    )) AS syy
  FROM means AS m
  JOIN points AS p
    ON p.tenant = m.tenant
    AND p.what = m.what
    AND COALESCE(p.location, '') = COALESCE(m.location, '')
  GROUP BY
    m.tenant,
    m.location,
    m.what,
    m.n,
    m.mean_x,
    m.mean_y
), lines AS (
  SELECT
    m.tenant,
    m.location,
    m.what,
    m.sxy / m.sxx AS slope,
    m.mean_y - m.mean_x * m.sxy / m.sxx AS level_now,
    2 * SQRT(
      CASE
        WHEN m.syy - m.sxy * m.sxy / m.sxx > 0
        THEN m.syy - m.sxy * m.sxy / m.sxx
        ELSE 0
      END / (
        (
          m.n - 2
        ) * m.sxx
      )
    ) AS margin
  FROM moments AS m
  WHERE
    m.sxx > 0
), capacities AS (
  SELECT
    k.tenant,
    k.location,
    k.what,
    k.slope,
    k.margin,
    k.level_now,
    CASE
      WHEN k.what = 'seats'
      THEN CAST(u.purchased_user_seats AS DOUBLE)
      ELSE u.purchased_storage_gb
    END - k.level_now AS room
  FROM lines AS k
  JOIN usage AS u
    ON u.tenant = k.tenant
    AND u.x = 0
    AND COALESCE(u.location, '') = COALESCE(k.location, '')
), forecasts AS (
  SELECT
    c.tenant,
    c.location,
    c.what,
    c.slope,
    CASE
      WHEN c.slope > 0 AND c.room / c.slope < 3650
      THEN CEIL(GREATEST(c.room, 0) / c.slope)
    END AS days,
    CASE
      WHEN c.slope > 0 AND c.room / (
        c.slope + c.margin
      ) < 3650
      THEN CEIL(GREATEST(c.room, 0) / (
        c.slope + c.margin
      ))
    END AS days_earliest,
    CASE
      WHEN c.slope - c.margin > 0 AND c.room / (
        c.slope - c.margin
      ) < 3650
      THEN CEIL(GREATEST(c.room, 0) / (
        c.slope - c.margin
      ))
    END AS days_latest
  FROM capacities AS c
)
SELECT
  u.tenant,
  u.location,
  u.day,
  u.assigned_user_seats,
  u.purchased_user_seats,
  CAST(u.assigned_user_seats AS DOUBLE) / NULLIF(u.purchased_user_seats, 0) AS seats_used_ratio,
  u.protected_size_gb,
  u.purchased_storage_gb,
  u.protected_size_gb / NULLIF(u.purchased_storage_gb, 0) AS storage_used_ratio,
  MAX(u.assigned_user_seats) OVER (
    PARTITION BY u.tenant, u.location, EXTRACT(YEAR FROM u.day), EXTRACT(MONTH FROM u.day)
  ) AS month_peak_seats,
  MAX(u.protected_size_gb) OVER (
    PARTITION BY u.tenant, u.location, EXTRACT(YEAR FROM u.day), EXTRACT(MONTH FROM u.day)
  ) AS month_peak_gb,
  s.slope AS seats_per_day,
  u.day + CAST(s.days AS INT) AS seats_run_out_on,
  u.day + CAST(s.days_earliest AS INT) AS seats_run_out_earliest,
  u.day + CAST(s.days_latest AS INT) AS seats_run_out_latest,
  g.slope AS storage_gb_per_day,
  u.day + CAST(g.days AS INT) AS storage_run_out_on,
  u.day + CAST(g.days_earliest AS INT) AS storage_run_out_earliest,
  u.day + CAST(g.days_latest AS INT) AS storage_run_out_latest
FROM usage AS u
LEFT JOIN forecasts AS s
  ON s.tenant = u.tenant
  AND COALESCE(s.location, '') = COALESCE(u.location, '')
  AND s.what = 'seats'
  AND u.x = 0
LEFT JOIN forecasts AS g
  ON g.tenant = u.tenant
  AND COALESCE(g.location, '') = COALESCE(u.location, '')
  AND g.what = 'storage'
  AND u.x = 0
