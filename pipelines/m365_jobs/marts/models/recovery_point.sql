-- about = """\
--   How much work could be lost? One row per tenant, location and service with a successful backup in the 30 days \
--   before the data ends: the longest gap between successful backups, the last gap reaching to the end of the data, \
--   beside the gap that the schedule promises."""
-- key = ["tenant", "location", "object_type"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location; null where none was asked for."
-- object_type = "text: Service, such as exchange_online."
-- good_backups = "bigint, backups: Successful backups in the 30 days, as in protection_status."
-- longest_gap_hours = "double, hours: From the finish of a successful backup to that of the next."
-- longest_gap_from = "timestamp, UTC: The backup after which the longest gap began."
-- promised_gap_hours = "double, hours: Longest time between two start times of the schedule; null where it is unknown."
-- data_as_of = "timestamp, UTC: End of the data."
WITH settings AS (
    -- Stands for the configuration, whose values m365_jobs.marts puts here.
    SELECT DISTINCT
        '' AS tenant,
        j.object_type,
        0 AS expected,
        0 AS ignored,
        26 AS allowed_age_hours,
        0.05 AS tolerated_failed_ratio
    FROM jobs AS j
),
tolerance AS (
    SELECT max(s.tolerated_failed_ratio) AS failed_ratio FROM settings AS s
),
as_of AS (
    SELECT p.tenant, p.location, p.object_type, p.complete_until AS data_as_of
    FROM partition_loads AS p
    WHERE p.object_type IS NOT NULL AND p.complete_until IS NOT NULL
),
good AS (
    SELECT f.tenant, f.location, f.object_type, f.finish_time, a.data_as_of
    FROM job_facts AS f
    JOIN as_of AS a
        ON a.tenant = f.tenant
        AND a.object_type = f.object_type
        AND coalesce(a.location, '') = coalesce(f.location, '')
    CROSS JOIN tolerance AS o
    WHERE
        f.job_type = 'backup'
        AND (
            f.outcome = 'success'
            OR (f.outcome = 'warning' AND f.successful_number > 0 AND f.failed_ratio <= o.failed_ratio)
        )
        AND f.finish_time <= a.data_as_of
        AND epoch(a.data_as_of) - epoch(f.finish_time) <= 30 * 86400
),
gaps AS (
    SELECT
        g.tenant,
        g.location,
        g.object_type,
        g.finish_time,
        g.data_as_of,
        epoch(
            coalesce(
                lead(g.finish_time) OVER (PARTITION BY g.tenant, g.location, g.object_type ORDER BY g.finish_time),
                g.data_as_of
            )
        ) - epoch(g.finish_time) AS gap_seconds
    FROM good AS g
),
ranked AS (
    SELECT
        g.tenant,
        g.location,
        g.object_type,
        g.finish_time,
        g.data_as_of,
        g.gap_seconds,
        row_number() OVER (
            PARTITION BY g.tenant, g.location, g.object_type ORDER BY g.gap_seconds DESC, g.finish_time
        ) AS place,
        count(*) OVER (PARTITION BY g.tenant, g.location, g.object_type) AS good_backups
    FROM gaps AS g
),
starts AS (
    SELECT
        s.tenant,
        s.location,
        s.object_type,
        coalesce(
            lead(t.minute_of_day) OVER (PARTITION BY s.tenant, s.location, s.object_type ORDER BY t.minute_of_day),
            min(t.minute_of_day) OVER (PARTITION BY s.tenant, s.location, s.object_type) + 24 * 60
        ) - t.minute_of_day AS gap_minutes
    FROM current_backup_schedules AS s
    JOIN backup_schedules__start_times AS t ON t.tenant = s.tenant AND t.schedule_id = s.id
),
promised AS (
    SELECT s.tenant, s.location, s.object_type, max(s.gap_minutes) AS gap_minutes
    FROM starts AS s
    GROUP BY s.tenant, s.location, s.object_type
)
SELECT
    r.tenant,
    r.location,
    r.object_type,
    r.good_backups,
    r.gap_seconds / 3600 AS longest_gap_hours,
    r.finish_time AS longest_gap_from,
    CAST(p.gap_minutes AS DOUBLE) / 60 AS promised_gap_hours,
    r.data_as_of
FROM ranked AS r
LEFT JOIN promised AS p
    ON p.tenant = r.tenant
    AND p.object_type = r.object_type
    AND coalesce(p.location, '') = coalesce(r.location, '')
WHERE r.place = 1
