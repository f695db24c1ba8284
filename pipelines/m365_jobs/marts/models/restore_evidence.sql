-- about = """\
--   When was a restore last proved to work? One row per tenant, location and service that has backups or restores. A \
--   restore proves it that ended as success or warning with at least one object. Ages end at the tenant's newest load."""
-- key = ["tenant", "location", "object_type"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location; null where none was asked for."
-- object_type = "text: Service, such as exchange_online."
-- last_restore_at = "timestamp, UTC: Finish of the last such restore; null where there is none."
-- last_restore_id = "text: That restore, as jobs.id."
-- last_restore_age_days = "double, days: From then to the tenant's newest load."
-- last_restore_hours = "double, hours: How long that restore took: finish minus start."
-- last_restore_objects = "bigint, objects: Objects that it restored."
-- restores_tried = "bigint, restores: Restores that ended in the last 365 days."
-- restores_failed = "bigint, restores: Those of them with outcome failure."
WITH newest AS (
    SELECT a.tenant, max(a.window_end) AS loaded_until
    FROM load_audit AS a
    GROUP BY a.tenant
),
services AS (
    SELECT f.tenant, f.location, f.object_type
    FROM job_facts AS f
    WHERE f.object_type IS NOT NULL AND f.job_type IN ('backup', 'restore')
    GROUP BY f.tenant, f.location, f.object_type
),
restores AS (
    SELECT
        f.tenant,
        f.location,
        f.object_type,
        f.id,
        f.start_time,
        f.finish_time,
        f.outcome,
        f.successful_number,
        epoch(n.loaded_until) - epoch(f.finish_time) AS age_seconds,
        CASE WHEN f.outcome IN ('success', 'warning') AND f.successful_number >= 1 THEN 1 ELSE 0 END AS proves
    FROM job_facts AS f
    JOIN newest AS n ON n.tenant = f.tenant
    WHERE f.job_type = 'restore' AND f.finish_time IS NOT NULL AND f.object_type IS NOT NULL
),
last_proofs AS (
    SELECT r.tenant, r.location, r.object_type, max(r.finish_time) AS finish_time
    FROM restores AS r
    WHERE r.proves = 1
    GROUP BY r.tenant, r.location, r.object_type
),
ranked AS (
    -- Several restores may end at the same moment.
    SELECT
        r.*,
        row_number() OVER (
            PARTITION BY r.tenant, r.location, r.object_type ORDER BY r.id COLLATE "C" DESC
        ) AS place
    FROM restores AS r
    JOIN last_proofs AS p
        ON p.tenant = r.tenant
        AND p.object_type = r.object_type
        AND coalesce(p.location, '') = coalesce(r.location, '')
        AND p.finish_time = r.finish_time
    WHERE r.proves = 1
),
counted AS (
    SELECT
        r.tenant,
        r.location,
        r.object_type,
        count(CASE WHEN r.age_seconds <= 365 * 86400 THEN 1 END) AS restores_tried,
        count(CASE WHEN r.age_seconds <= 365 * 86400 AND r.outcome = 'failure' THEN 1 END) AS restores_failed
    FROM restores AS r
    GROUP BY r.tenant, r.location, r.object_type
)
SELECT
    s.tenant,
    s.location,
    s.object_type,
    k.finish_time AS last_restore_at,
    k.id AS last_restore_id,
    CAST(k.age_seconds AS DOUBLE) / 86400 AS last_restore_age_days,
    CAST(epoch(k.finish_time) - epoch(k.start_time) AS DOUBLE) / 3600 AS last_restore_hours,
    k.successful_number AS last_restore_objects,
    coalesce(c.restores_tried, 0) AS restores_tried,
    coalesce(c.restores_failed, 0) AS restores_failed
FROM services AS s
LEFT JOIN ranked AS k
    ON k.tenant = s.tenant
    AND k.object_type = s.object_type
    AND coalesce(k.location, '') = coalesce(s.location, '')
    AND k.place = 1
LEFT JOIN counted AS c
    ON c.tenant = s.tenant
    AND c.object_type = s.object_type
    AND coalesce(c.location, '') = coalesce(s.location, '')
