-- Each version of a backup schedule with the last load that read it, and known_until, in seconds since 1970: it counts
-- for 30 days from then. Later, it may have changed without a load that read the change.
WITH gaps AS (
    SELECT
        t.tenant,
        t.schedule_id,
        coalesce(
            lead(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id ORDER BY t.minute_of_day),
            min(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id) + 24 * 60
        ) - t.minute_of_day AS minutes
    FROM backup_schedules__start_times AS t
),
longest AS (
    SELECT g.tenant, g.schedule_id, CAST(max(g.minutes) AS DOUBLE) / 60 AS hours
    FROM gaps AS g
    GROUP BY g.tenant, g.schedule_id
),
reads AS (
    SELECT
        c.tenant,
        c.location,
        c.asked_at,
        lag(c.asked_at) OVER (PARTITION BY c.tenant, c.location ORDER BY c.asked_at) AS asked_before,
        lead(c.asked_at) OVER (PARTITION BY c.tenant, c.location ORDER BY c.asked_at) AS asked_after
    FROM companion_loads AS c
    WHERE c.companion = 'schedule' AND c.status = 'loaded'
),
versions AS (
    SELECT
        s.tenant,
        s.location,
        s.service_type,
        s.service,
        s.object_type,
        s.backups_per_day,
        s.interval_hours,
        s.valid_from,
        s.valid_to,
        s.id,
        -- The load that ends a version asks a moment before valid_to, and no longer reads this version.
        CASE WHEN s.valid_to IS NULL THEN r.asked_at ELSE r.asked_before END AS read_again_at
    FROM backup_schedules AS s
    LEFT JOIN reads AS r
        ON r.tenant = s.tenant
        AND coalesce(r.location, '') = coalesce(s.location, '')
        AND (s.valid_to IS NULL OR r.asked_at <= s.valid_to)
        AND (r.asked_after IS NULL OR r.asked_after > s.valid_to)
),
dated AS (
    SELECT
        v.tenant,
        v.location,
        v.service_type,
        v.service,
        v.object_type,
        v.backups_per_day,
        v.interval_hours,
        v.valid_from,
        v.valid_to,
        v.id,
        CASE WHEN v.read_again_at > v.valid_from THEN v.read_again_at ELSE v.valid_from END AS last_read_at
    FROM versions AS v
)
SELECT
    d.tenant,
    d.location,
    d.service_type,
    d.service,
    d.object_type,
    d.backups_per_day,
    d.interval_hours,
    CASE WHEN k.hours > d.interval_hours THEN k.hours ELSE d.interval_hours END AS longest_interval_hours,
    d.valid_from,
    d.valid_to,
    d.id,
    d.last_read_at,
    epoch(d.last_read_at) + 30 * 86400 AS known_until
FROM dated AS d
LEFT JOIN longest AS k ON k.tenant = d.tenant AND k.schedule_id = d.id
