-- about = """\
--   How much work could be lost? One row per tenant, location and service with a successful backup in the 30 days \
--   before the data ends: the longest gap between successful backups, beside the gap that the schedule promises. The \
--   first gap may begin before the 30 days, and the last one reaches to the end of the data."""
-- key = ["tenant", "location", "object_type"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location; null where none was asked for."
-- object_type = "text: Service, such as exchange_online."
-- good_backups = "bigint, backups: Successful backups in the 30 days, as in protection_status."
-- longest_gap_hours = "double, hours: From the finish of a successful backup to that of the next."
-- longest_gap_from = "timestamp, UTC: The backup after which the longest gap began."
-- promised_gap_hours = """\
--   double, hours: Longest time between two scheduled backups; null where the schedule is unknown, or no load of the 30 \
--   days before data_as_of read it."""
-- data_as_of = "timestamp, UTC: End of the data."
WITH as_of AS (
    SELECT p.tenant, p.location, p.object_type, p.complete_until AS data_as_of
    FROM partition_loads AS p
    WHERE p.object_type IS NOT NULL AND p.complete_until IS NOT NULL
),
good AS (
    SELECT f.tenant, f.location, f.object_type, f.finish_time, a.data_as_of
    FROM evaluated_backups AS f
    JOIN as_of AS a
        ON a.tenant = f.tenant
        AND a.object_type = f.object_type
        AND coalesce(a.location, '') = coalesce(f.location, '')
    WHERE f.succeeded = 1 AND f.finish_time <= a.data_as_of
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
        ) - epoch(g.finish_time) AS gap_seconds,
        CASE WHEN epoch(g.data_as_of) - epoch(g.finish_time) <= 30 * 86400 THEN 1 ELSE 0 END AS is_recent
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
        sum(g.is_recent) OVER (PARTITION BY g.tenant, g.location, g.object_type) AS good_backups
    FROM gaps AS g
    WHERE epoch(g.data_as_of) - epoch(g.finish_time) - g.gap_seconds <= 30 * 86400
),
promised AS (
    SELECT
        s.tenant,
        s.location,
        s.object_type,
        max(s.longest_interval_hours) AS interval_hours,
        max(s.known_until) AS known_until
    FROM schedule_versions AS s
    WHERE s.valid_to IS NULL
    GROUP BY s.tenant, s.location, s.object_type
)
SELECT
    r.tenant,
    r.location,
    r.object_type,
    CAST(r.good_backups AS BIGINT) AS good_backups,
    r.gap_seconds / 3600 AS longest_gap_hours,
    r.finish_time AS longest_gap_from,
    p.interval_hours AS promised_gap_hours,
    r.data_as_of
FROM ranked AS r
LEFT JOIN promised AS p
    ON p.tenant = r.tenant
    AND p.object_type = r.object_type
    AND coalesce(p.location, '') = coalesce(r.location, '')
    AND p.known_until >= epoch(r.data_as_of)
WHERE r.place = 1 AND r.good_backups > 0
