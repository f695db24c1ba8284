-- The end of the data of each service in each known location. Where a partition has neither a listing nor a job, that of
-- all services counts: of its location, or of all.
WITH reached AS MATERIALIZED (
    SELECT p.tenant, p.location, p.object_type, p.complete_until
    FROM partition_loads AS p
),
places AS (
    SELECT r.tenant, r.location FROM reached AS r
    UNION
    SELECT s.tenant, s.location FROM backup_schedules AS s
),
services AS (
    SELECT DISTINCT r.object_type FROM protection_rules AS r
)
SELECT
    w.tenant,
    w.location,
    v.object_type,
    CASE
        WHEN p.tenant IS NOT NULL THEN p.complete_until
        WHEN l.tenant IS NOT NULL THEN l.complete_until
        ELSE t.complete_until
    END AS data_as_of
FROM places AS w
CROSS JOIN services AS v
LEFT JOIN reached AS p
    ON p.tenant = w.tenant
    AND p.object_type = v.object_type
    AND coalesce(p.location, '') = coalesce(w.location, '')
LEFT JOIN reached AS l
    ON l.tenant = w.tenant
    AND l.object_type IS NULL
    AND coalesce(l.location, '') = coalesce(w.location, '')
LEFT JOIN reached AS t
    ON t.tenant = w.tenant
    AND t.object_type IS NULL
    AND t.location IS NULL
