-- about = """\
--   When do seats or storage run out? One row per tenant, location and UTC day with a snapshot. The newest day has a \
--   forecast: a straight line through the snapshots of the last 90 days, with an interval of twice the standard error \
--   of its slope. There is none for fewer than 14 snapshots, for a line that does not rise, and beyond ten years."""
-- key = ["tenant", "location", "day"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Location that was asked for; null for all."
-- day = "date, UTC day: Day of the snapshot."
-- assigned_user_seats = "bigint, seats: Seats in use."
-- purchased_user_seats = "bigint, seats: Seats bought."
-- seats_used_ratio = "double, 0 to 1: Seats in use / seats bought; above 1 beyond the licence; null for 0 bought."
-- protected_size_gb = "double, GB: Data that is protected."
-- purchased_storage_gb = "double, GB: Storage bought."
-- storage_used_ratio = "double, 0 to 1: Protected data / storage bought; null for 0 bought."
-- month_peak_seats = "bigint, seats: Most seats in use on any day of the month."
-- month_peak_gb = "double, GB: Most protected data on any day of the month."
-- seats_per_day = "double, seats: Slope of the line through the seats in use; on the newest day."
-- seats_run_out_on = "date, UTC day: Day on which the line reaches the seats bought."
-- seats_run_out_earliest = "date, UTC day: The same for the steeper end of the interval."
-- seats_run_out_latest = "date, UTC day: The same for the flatter end; null where that does not rise."
-- storage_gb_per_day = "double, GB: Slope of the line through the protected data; on the newest day."
-- storage_run_out_on = "date, UTC day: Day on which that line reaches the storage bought."
-- storage_run_out_earliest = "date, UTC day: The same for the steeper end of the interval."
-- storage_run_out_latest = "date, UTC day: The same for the flatter end; null where that does not rise."
WITH newest AS (
    SELECT l.tenant, l.location, max(l.day) AS day
    FROM license_consumption AS l
    GROUP BY l.tenant, l.location
),
usage AS (
    SELECT
        l.tenant,
        l.location,
        l.day,
        l.assigned_user_seats,
        l.purchased_user_seats,
        l.protected_size_gb,
        l.purchased_storage_gb,
        CAST(epoch(l.day) - epoch(n.day) AS DOUBLE) / 86400 AS x
    FROM license_consumption AS l
    JOIN newest AS n ON n.tenant = l.tenant AND coalesce(n.location, '') = coalesce(l.location, '')
),
points AS (
    SELECT u.tenant, u.location, 'seats' AS what, u.x, CAST(u.assigned_user_seats AS DOUBLE) AS y
    FROM usage AS u
    WHERE u.x > -90 AND u.assigned_user_seats IS NOT NULL
    UNION ALL
    SELECT u.tenant, u.location, 'storage' AS what, u.x, u.protected_size_gb AS y
    FROM usage AS u
    WHERE u.x > -90 AND u.protected_size_gb IS NOT NULL
),
means AS (
    SELECT p.tenant, p.location, p.what, count(*) AS n, avg(p.x) AS mean_x, avg(p.y) AS mean_y
    FROM points AS p
    GROUP BY p.tenant, p.location, p.what
    HAVING count(*) >= 14
),
moments AS (
    SELECT
        m.tenant,
        m.location,
        m.what,
        m.n,
        m.mean_x,
        m.mean_y,
        sum((p.x - m.mean_x) * (p.x - m.mean_x)) AS sxx,
        sum((p.x - m.mean_x) * (p.y - m.mean_y)) AS sxy,
        sum((p.y - m.mean_y) * (p.y - m.mean_y)) AS syy
    FROM means AS m
    JOIN points AS p ON p.tenant = m.tenant AND p.what = m.what AND coalesce(p.location, '') = coalesce(m.location, '')
    GROUP BY m.tenant, m.location, m.what, m.n, m.mean_x, m.mean_y
),
lines AS (
    SELECT
        m.tenant,
        m.location,
        m.what,
        m.sxy / m.sxx AS slope,
        m.mean_y - m.mean_x * m.sxy / m.sxx AS level_now,
        2 * sqrt(
            CASE WHEN m.syy - m.sxy * m.sxy / m.sxx > 0 THEN m.syy - m.sxy * m.sxy / m.sxx ELSE 0 END
            / ((m.n - 2) * m.sxx)
        ) AS margin
    FROM moments AS m
    WHERE m.sxx > 0
),
capacities AS (
    SELECT
        k.tenant,
        k.location,
        k.what,
        k.slope,
        k.margin,
        k.level_now,
        CASE WHEN k.what = 'seats' THEN CAST(u.purchased_user_seats AS DOUBLE) ELSE u.purchased_storage_gb END
        - k.level_now AS room
    FROM lines AS k
    JOIN usage AS u ON u.tenant = k.tenant AND u.x = 0 AND coalesce(u.location, '') = coalesce(k.location, '')
),
forecasts AS (
    SELECT
        c.tenant,
        c.location,
        c.what,
        c.slope,
        CASE WHEN c.slope > 0 AND c.room / c.slope < 3650 THEN ceil(greatest(c.room, 0) / c.slope) END AS days,
        CASE
            WHEN c.slope > 0 AND c.room / (c.slope + c.margin) < 3650
                THEN ceil(greatest(c.room, 0) / (c.slope + c.margin))
        END AS days_earliest,
        CASE
            WHEN c.slope - c.margin > 0 AND c.room / (c.slope - c.margin) < 3650
                THEN ceil(greatest(c.room, 0) / (c.slope - c.margin))
        END AS days_latest
    FROM capacities AS c
)
SELECT
    u.tenant,
    u.location,
    u.day,
    u.assigned_user_seats,
    u.purchased_user_seats,
    CAST(u.assigned_user_seats AS DOUBLE) / nullif(u.purchased_user_seats, 0) AS seats_used_ratio,
    u.protected_size_gb,
    u.purchased_storage_gb,
    u.protected_size_gb / nullif(u.purchased_storage_gb, 0) AS storage_used_ratio,
    max(u.assigned_user_seats) OVER (
        PARTITION BY u.tenant, u.location, extract(YEAR FROM u.day), extract(MONTH FROM u.day)
    ) AS month_peak_seats,
    max(u.protected_size_gb) OVER (
        PARTITION BY u.tenant, u.location, extract(YEAR FROM u.day), extract(MONTH FROM u.day)
    ) AS month_peak_gb,
    s.slope AS seats_per_day,
    u.day + CAST(s.days AS INTEGER) AS seats_run_out_on,
    u.day + CAST(s.days_earliest AS INTEGER) AS seats_run_out_earliest,
    u.day + CAST(s.days_latest AS INTEGER) AS seats_run_out_latest,
    g.slope AS storage_gb_per_day,
    u.day + CAST(g.days AS INTEGER) AS storage_run_out_on,
    u.day + CAST(g.days_earliest AS INTEGER) AS storage_run_out_earliest,
    u.day + CAST(g.days_latest AS INTEGER) AS storage_run_out_latest
FROM usage AS u
LEFT JOIN forecasts AS s
    ON s.tenant = u.tenant AND coalesce(s.location, '') = coalesce(u.location, '') AND s.what = 'seats' AND u.x = 0
LEFT JOIN forecasts AS g
    ON g.tenant = u.tenant AND coalesce(g.location, '') = coalesce(u.location, '') AND g.what = 'storage' AND u.x = 0
