-- about = """\
--   Is everything backed up? One row per tenant, location and service that is expected: named in \
--   expected_object_types, or with a backup job in the 30 days before the tenant's newest load. Only jobs known to \
--   be backups count. A success is outcome success, or a warning with successful objects and a failed_ratio of at \
--   most tolerated_failed_ratio."""
-- key = ["tenant", "location", "object_type"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location that was asked for; null where none was."
-- object_type = "text: Service, such as exchange_online."
-- last_success_at = "timestamp, UTC: Finish of the last successful backup; null where there is none."
-- hours_since_success = """\
--   double, hours: From then to data_as_of, not to now: an outage of the API is not a missed backup."""
-- last_outcome = "text: Outcome of the last finished backup, in the order of finish_time, start_time and id."
-- consecutive_failures = "bigint, jobs: Finished backups after the last success; all of them where there is none."
-- open_jobs = "bigint, jobs: Backups in progress."
-- status = """\
--   text: The first that holds: ignored (in ignored_object_types); unknown (no complete load, no job whose type is \
--   known, or no job of its own beside jobs whose service is not known); failing (2 or more consecutive failures); \
--   onboarding (the first backup is running, for less than 14 days); never (no success yet); running_long (the allowed age is \
--   passed, but a backup has been open for less than 48 hours); late (the allowed age is passed); protected."""
-- data_as_of = """\
--   timestamp, UTC: complete_until of the partition, as in partition_loads: the moment at which ages are evaluated."""
WITH settings AS (
    -- Stands for the configuration, whose values m365_jobs.marts puts here; '' is every tenant that has none of its own.
    SELECT DISTINCT
        '' AS tenant,
        j.object_type,
        0 AS expected,
        0 AS ignored,
        26 AS allowed_age_hours,
        0.05 AS tolerated_failed_ratio
    FROM jobs AS j
),
newest AS (
    SELECT a.tenant, max(a.window_end) AS loaded_until
    FROM load_audit AS a
    GROUP BY a.tenant
),
proved AS MATERIALIZED (
    SELECT p.tenant, p.location, p.object_type, p.complete_until
    FROM partition_loads AS p
),
held AS (
    SELECT
        f.tenant,
        f.location,
        f.object_type,
        count(f.job_type) AS typed_jobs,
        coalesce(
            max(CASE WHEN f.job_type = 'backup' THEN coalesce(f.finish_time, f.start_time) END),
            CASE WHEN count(f.job_type) = 0 THEN max(coalesce(f.finish_time, f.start_time)) END
        ) AS last_backup,
        -- What ended before the last clean success cannot change anything, and is most of all jobs.
        coalesce(
            max(CASE WHEN f.job_type = 'backup' AND f.outcome = 'success' THEN f.finish_time END),
            min(f.finish_time)
        ) AS matters_from
    FROM job_facts AS f
    GROUP BY f.tenant, f.location, f.object_type
),
tenants AS (
    SELECT h.tenant FROM held AS h
    UNION
    SELECT n.tenant FROM newest AS n
),
named AS (
    SELECT DISTINCT s.tenant FROM settings AS s
),
rules AS (
    SELECT t.tenant, s.object_type, s.expected, s.ignored, s.allowed_age_hours, s.tolerated_failed_ratio
    FROM tenants AS t
    LEFT JOIN named AS n ON n.tenant = t.tenant
    JOIN settings AS s ON s.tenant = coalesce(n.tenant, '')
),
recently_held AS (
    SELECT h.tenant, h.location, h.object_type
    FROM held AS h
    LEFT JOIN newest AS n ON n.tenant = h.tenant
    WHERE epoch(coalesce(n.loaded_until, h.last_backup)) - epoch(h.last_backup) <= 30 * 86400
),
asked AS (
    SELECT a.tenant, a.location, a.object_type
    FROM load_audit AS a
    JOIN newest AS n ON n.tenant = a.tenant
    WHERE epoch(n.loaded_until) - epoch(a.window_end) <= 30 * 86400
    UNION
    SELECT h.tenant, h.location, h.object_type
    FROM recently_held AS h
    WHERE h.location IS NOT NULL
),
multi_geo AS (
    SELECT DISTINCT a.tenant FROM asked AS a WHERE a.location IS NOT NULL
),
expected AS (
    -- In each known location. The listing of all services of all locations stands for no location beside those.
    SELECT a.tenant, a.location, s.object_type
    FROM asked AS a
    JOIN rules AS s ON s.tenant = a.tenant
    LEFT JOIN multi_geo AS g ON g.tenant = a.tenant
    WHERE s.expected = 1 AND (a.location IS NOT NULL OR a.object_type IS NOT NULL OR g.tenant IS NULL)
    UNION
    SELECT h.tenant, h.location, h.object_type
    FROM recently_held AS h
),
recent AS (
    SELECT
        f.tenant,
        f.location,
        f.object_type,
        f.finish_time,
        f.outcome,
        CASE
            WHEN f.outcome = 'success' THEN 1
            WHEN f.outcome = 'warning' AND f.successful_number > 0 AND f.failed_ratio <= s.tolerated_failed_ratio THEN 1
            ELSE 0
        END AS succeeded,
        row_number() OVER (
            PARTITION BY f.tenant, f.location, f.object_type
            ORDER BY f.finish_time DESC, f.start_time DESC NULLS LAST, f.id COLLATE "C" DESC
        ) AS place
    FROM held AS h
    JOIN rules AS s ON s.tenant = h.tenant AND s.object_type = h.object_type
    JOIN job_facts AS f
        ON f.tenant = h.tenant
        AND f.object_type = h.object_type
        AND coalesce(f.location, '') = coalesce(h.location, '')
        AND f.finish_time >= h.matters_from
    WHERE f.job_type = 'backup'
),
history AS (
    SELECT
        r.tenant,
        r.location,
        r.object_type,
        max(CASE WHEN r.succeeded = 1 THEN r.finish_time END) AS last_success_at,
        max(CASE WHEN r.place = 1 THEN r.outcome END) AS last_outcome,
        coalesce(min(CASE WHEN r.succeeded = 1 THEN r.place END) - 1, count(*)) AS consecutive_failures
    FROM recent AS r
    GROUP BY r.tenant, r.location, r.object_type
),
running AS (
    SELECT o.tenant, o.location, o.object_type, count(*) AS open_jobs, min(o.hours_open) AS shortest_open
    FROM open_jobs AS o
    WHERE o.job_type = 'backup'
    GROUP BY o.tenant, o.location, o.object_type
),
as_of AS (
    -- Where a partition has neither a listing nor a job, that of all services counts: of its location, or of all.
    SELECT
        e.tenant,
        e.location,
        e.object_type,
        CASE
            WHEN p.tenant IS NOT NULL THEN p.complete_until
            WHEN l.tenant IS NOT NULL THEN l.complete_until
            ELSE t.complete_until
        END AS data_as_of
    FROM expected AS e
    LEFT JOIN proved AS p
        ON p.tenant = e.tenant
        AND p.object_type = e.object_type
        AND coalesce(p.location, '') = coalesce(e.location, '')
    LEFT JOIN proved AS l
        ON l.tenant = e.tenant
        AND l.object_type IS NULL
        AND coalesce(l.location, '') = coalesce(e.location, '')
    LEFT JOIN proved AS t
        ON t.tenant = e.tenant
        AND t.object_type IS NULL
        AND t.location IS NULL
),
evaluated AS (
    SELECT
        e.tenant,
        e.location,
        e.object_type,
        y.last_success_at,
        (epoch(e.data_as_of) - epoch(y.last_success_at)) / 3600 AS hours_since_success,
        y.last_outcome,
        coalesce(y.consecutive_failures, 0) AS consecutive_failures,
        coalesce(r.open_jobs, 0) AS open_jobs,
        e.data_as_of,
        -- Any of the jobs whose service is not known may be its backups.
        CASE WHEN h.object_type IS NULL AND u.tenant IS NOT NULL THEN 0 ELSE h.typed_jobs END AS typed_jobs,
        r.shortest_open,
        s.ignored,
        s.allowed_age_hours
    FROM as_of AS e
    JOIN rules AS s ON s.tenant = e.tenant AND s.object_type = e.object_type
    LEFT JOIN held AS h
        ON h.tenant = e.tenant
        AND h.object_type = e.object_type
        AND coalesce(h.location, '') = coalesce(e.location, '')
    LEFT JOIN held AS u
        ON u.tenant = e.tenant
        AND u.object_type IS NULL
        AND coalesce(u.location, '') = coalesce(e.location, '')
    LEFT JOIN history AS y
        ON y.tenant = e.tenant
        AND y.object_type = e.object_type
        AND coalesce(y.location, '') = coalesce(e.location, '')
    LEFT JOIN running AS r
        ON r.tenant = e.tenant
        AND r.object_type = e.object_type
        AND coalesce(r.location, '') = coalesce(e.location, '')
)
SELECT
    g.tenant,
    g.location,
    g.object_type,
    g.last_success_at,
    g.hours_since_success,
    g.last_outcome,
    g.consecutive_failures,
    g.open_jobs,
    CASE
        WHEN g.ignored = 1 THEN 'ignored'
        WHEN g.data_as_of IS NULL OR g.typed_jobs = 0 THEN 'unknown'
        WHEN g.consecutive_failures >= 2 THEN 'failing'
        WHEN g.last_success_at IS NULL AND g.consecutive_failures = 0 AND g.shortest_open < 14 * 24 THEN 'onboarding'
        WHEN g.last_success_at IS NULL THEN 'never'
        WHEN g.hours_since_success > g.allowed_age_hours AND g.shortest_open < 48 THEN 'running_long'
        WHEN g.hours_since_success > g.allowed_age_hours THEN 'late'
        ELSE 'protected'
    END AS status,
    g.data_as_of
FROM evaluated AS g
