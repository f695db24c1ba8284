-- about = """\
--   Is the data complete, and until when? One row per tenant, location and service that loads asked for or that has \
--   jobs. A listing of all services, or of all locations, vouches for each of them; that of a service only for itself. A \
--   load of a partition is complete when all of its listings that concern the partition are proved complete. A row \
--   without a service stands for all services, and for jobs whose service is not known."""
-- key = ["tenant", "location", "object_type"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location; null for all, and where none was asked for."
-- object_type = "text: Service, such as exchange_online; null for all, and where it is not known."
-- complete_until = "timestamp, UTC: Latest window end of a complete load; null without one."
-- last_complete_load_at = "timestamp, UTC: When the latest complete load read it; null without one."
-- last_load_at = "timestamp, UTC: When the latest load read it."
-- complete = """\
--   boolean: Whether the latest load is complete, and the load that reaches furthest: a backfill of an older range \
--   does not make up for either."""
WITH listings AS (
    SELECT
        a.tenant,
        a.location,
        a.object_type,
        a.run_id,
        max(a.window_end) AS window_end,
        max(a.started_at) AS started_at,
        min(CASE WHEN a.complete = TRUE THEN 1 ELSE 0 END) AS complete
    FROM load_audit AS a
    -- A listing of one job type only tells the type of jobs.
    WHERE a.job_type IS NULL
    GROUP BY a.tenant, a.location, a.object_type, a.run_id
),
partitions AS (
    SELECT i.tenant, i.location, i.object_type
    FROM listings AS i
    UNION
    SELECT j.tenant, j.location, j.object_type
    FROM jobs AS j
),
relevant AS (
    -- In four parts, each joined by equal values: PostgreSQL would compare all with all for an OR.
    SELECT p.tenant, p.location, p.object_type, i.run_id, i.window_end, i.started_at, i.complete
    FROM partitions AS p
    JOIN listings AS i
        ON i.tenant = p.tenant
        AND coalesce(i.location, '') = coalesce(p.location, '')
        AND coalesce(i.object_type, '') = coalesce(p.object_type, '')
    UNION ALL
    SELECT p.tenant, p.location, p.object_type, i.run_id, i.window_end, i.started_at, i.complete
    FROM partitions AS p
    JOIN listings AS i
        ON i.tenant = p.tenant
        AND coalesce(i.location, '') = coalesce(p.location, '')
    WHERE i.object_type IS NULL AND p.object_type IS NOT NULL
    UNION ALL
    SELECT p.tenant, p.location, p.object_type, i.run_id, i.window_end, i.started_at, i.complete
    FROM partitions AS p
    JOIN listings AS i
        ON i.tenant = p.tenant
        AND coalesce(i.object_type, '') = coalesce(p.object_type, '')
    WHERE i.location IS NULL AND p.location IS NOT NULL
    UNION ALL
    SELECT p.tenant, p.location, p.object_type, i.run_id, i.window_end, i.started_at, i.complete
    FROM partitions AS p
    JOIN listings AS i ON i.tenant = p.tenant
    WHERE i.location IS NULL AND i.object_type IS NULL AND p.location IS NOT NULL AND p.object_type IS NOT NULL
),
loads AS (
    SELECT
        r.tenant,
        r.location,
        r.object_type,
        r.run_id,
        max(r.window_end) AS window_end,
        max(r.started_at) AS started_at,
        min(r.complete) AS complete
    FROM relevant AS r
    GROUP BY r.tenant, r.location, r.object_type, r.run_id
),
reached AS (
    SELECT
        l.tenant,
        l.location,
        l.object_type,
        max(CASE WHEN l.complete = 1 THEN l.window_end END) AS complete_until,
        max(CASE WHEN l.complete = 0 THEN l.window_end END) AS incomplete_until,
        max(CASE WHEN l.complete = 1 THEN l.started_at END) AS last_complete_load_at,
        max(CASE WHEN l.complete = 0 THEN l.started_at END) AS last_incomplete_load_at,
        max(l.started_at) AS last_load_at
    FROM loads AS l
    GROUP BY l.tenant, l.location, l.object_type
)
SELECT
    e.tenant,
    e.location,
    e.object_type,
    e.complete_until,
    e.last_complete_load_at,
    e.last_load_at,
    CASE
        WHEN e.complete_until IS NULL THEN FALSE
        WHEN e.incomplete_until > e.complete_until THEN FALSE
        WHEN e.last_incomplete_load_at > e.last_complete_load_at THEN FALSE
        ELSE TRUE
    END AS complete
FROM reached AS e
