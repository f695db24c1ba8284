-- about = """\
--   Who is kept shorter, backed up less often, or no longer at all? One row per change of a schedule, a retention \
--   period or a switch, with the two loads between which it happened."""
-- key = ["tenant", "location", "setting", "level", "service", "container_id", "changed_before"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Location that was asked for; null for the central location."
-- setting = "text: schedule, retention, daily_retention or custom_retention."
-- level = "text: Level of a retention period: default, service, container or unassigned; service for a schedule."
-- service = "text: Service in the vendor's words; null at level default."
-- object_type = "text: The same service as jobs.object_type names it; null where it has no counterpart."
-- container_id = "text: Container, at level container."
-- container_name = "text: Its name."
-- change = """\
--   text: shortened or lengthened (a retention period), less_often or more_often (a schedule), switched_off, \
--   switched_on, or changed (other start times, or a period in unknown words)."""
-- old_value = "text: Value before; null where there was none. A value that a response lacks is that of the one before."
-- new_value = "text: Value after; null where there is none."
-- changed_after = "timestamp, UTC: The last load that read the old value; null where none is on record."
-- changed_before = "timestamp, UTC: The load that read the new value first."
WITH stored AS (
    SELECT
        s.tenant,
        s.location,
        'schedule' AS companion,
        'schedule' AS setting,
        'service' AS level,
        s.service,
        s.object_type,
        CAST(NULL AS VARCHAR) AS container_id,
        CAST(NULL AS VARCHAR) AS container_name,
        CAST(CAST(round(s.backups_per_day) AS BIGINT) AS VARCHAR) || ' a day' AS value,
        s.backups_per_day AS amount,
        s.id AS content,
        s.valid_from,
        s.valid_to
    FROM backup_schedules AS s
    WHERE s.service IS NOT NULL
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
            WHEN r.retention_days IS NOT NULL THEN CAST(r.retention_days AS DOUBLE)
            WHEN
                lower(trim(r.retention_period)) IN (
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
    FROM retention_policies AS r
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
            WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = TRUE THEN 'on'
            WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = FALSE THEN 'off'
            WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = TRUE THEN 'on'
            WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = FALSE THEN 'off'
        END AS value,
        CAST(NULL AS DOUBLE) AS amount,
        CASE
            WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = TRUE THEN 'on'
            WHEN w.setting = 'daily_retention' AND r.daily_retention_enabled = FALSE THEN 'off'
            WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = TRUE THEN 'on'
            WHEN w.setting = 'custom_retention' AND r.custom_retention_enabled = FALSE THEN 'off'
        END AS content,
        r.valid_from,
        r.valid_to
    FROM retention_policies AS r
    CROSS JOIN (SELECT 'daily_retention' AS setting UNION ALL SELECT 'custom_retention') AS w
    WHERE r.level = 'default'
),
compared AS (
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
        -- Other words for the same period are no change.
        CASE WHEN s.setting = 'retention' AND s.amount IS NOT NULL THEN CAST(s.amount AS VARCHAR) ELSE s.content END
            AS content,
        count(s.content) OVER (
            PARTITION BY s.tenant, s.location, s.setting, s.level, s.service, s.container_id
            ORDER BY s.valid_from
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS known,
        s.valid_from,
        s.valid_to
    FROM stored AS s
),
versions AS (
    -- A value that a response lacks is that of the version before: it was not read, so it did not change.
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
        max(c.value) OVER (
            PARTITION BY c.tenant, c.location, c.setting, c.level, c.service, c.container_id, c.known
        ) AS value,
        max(c.amount) OVER (
            PARTITION BY c.tenant, c.location, c.setting, c.level, c.service, c.container_id, c.known
        ) AS amount,
        max(c.content) OVER (
            PARTITION BY c.tenant, c.location, c.setting, c.level, c.service, c.container_id, c.known
        ) AS content,
        c.valid_from,
        c.valid_to
    FROM compared AS c
),
firsts AS (
    SELECT s.tenant, s.location, 'schedule' AS companion, min(s.valid_from) AS first_known
    FROM backup_schedules AS s
    GROUP BY s.tenant, s.location
    UNION ALL
    SELECT r.tenant, r.location, 'retention' AS companion, min(r.valid_from) AS first_known
    FROM retention_policies AS r
    GROUP BY r.tenant, r.location
),
pairs AS (
    SELECT
        coalesce(n.tenant, o.tenant) AS tenant,
        coalesce(n.location, o.location) AS location,
        coalesce(n.companion, o.companion) AS companion,
        coalesce(n.setting, o.setting) AS setting,
        coalesce(n.level, o.level) AS level,
        coalesce(n.service, o.service) AS service,
        coalesce(n.object_type, o.object_type) AS object_type,
        coalesce(n.container_id, o.container_id) AS container_id,
        coalesce(n.container_name, o.container_name) AS container_name,
        o.value AS old_value,
        n.value AS new_value,
        o.amount AS old_amount,
        n.amount AS new_amount,
        o.content AS old_content,
        n.content AS new_content,
        CASE WHEN o.tenant IS NULL THEN 1 ELSE 0 END AS is_new,
        CASE WHEN n.tenant IS NULL THEN 1 ELSE 0 END AS is_gone,
        coalesce(n.valid_from, o.valid_to) AS changed_before
    FROM versions AS o
    FULL OUTER JOIN versions AS n
        ON n.tenant = o.tenant
        AND n.setting = o.setting
        AND n.level = o.level
        AND coalesce(n.location, '') = coalesce(o.location, '')
        AND coalesce(n.service, '') = coalesce(o.service, '')
        AND coalesce(n.container_id, '') = coalesce(o.container_id, '')
        AND n.valid_from = o.valid_to
),
reads AS (
    SELECT
        c.tenant,
        c.location,
        c.companion,
        c.asked_at,
        lag(c.asked_at) OVER (PARTITION BY c.tenant, c.location, c.companion ORDER BY c.asked_at) AS asked_before,
        lead(c.asked_at) OVER (PARTITION BY c.tenant, c.location, c.companion ORDER BY c.asked_at) AS asked_after
    FROM companion_loads AS c
    WHERE c.status = 'loaded'
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
        WHEN p.is_gone = 1 OR (p.old_value = 'on' AND p.new_value = 'off') THEN 'switched_off'
        WHEN p.is_new = 1 OR (p.old_value = 'off' AND p.new_value = 'on') THEN 'switched_on'
        WHEN p.setting = 'schedule' AND p.new_amount < p.old_amount THEN 'less_often'
        WHEN p.setting = 'schedule' AND p.new_amount > p.old_amount THEN 'more_often'
        WHEN p.new_amount < p.old_amount THEN 'shortened'
        WHEN p.new_amount > p.old_amount THEN 'lengthened'
        ELSE 'changed'
    END AS change,
    p.old_value,
    p.new_value,
    r.asked_before AS changed_after,
    p.changed_before
FROM pairs AS p
JOIN firsts AS f
    ON f.tenant = p.tenant AND f.companion = p.companion AND coalesce(f.location, '') = coalesce(p.location, '')
LEFT JOIN reads AS r
    ON r.tenant = p.tenant
    AND r.companion = p.companion
    AND coalesce(r.location, '') = coalesce(p.location, '')
    AND r.asked_at <= p.changed_before
    AND (r.asked_after IS NULL OR r.asked_after > p.changed_before)
WHERE
    -- What the first load read, and what is in force, did not change.
    p.changed_before > f.first_known
    AND (p.is_new = 1 OR p.is_gone = 1 OR coalesce(p.old_content, '') <> coalesce(p.new_content, ''))
