-- about = """\
--   Is everything backed up? One row per tenant, location and service that is expected: named in \
--   expected_object_types, in the backup schedule, or with a backup job in the 30 days before the tenant's newest load. \
--   Only jobs known to be backups count. A success is outcome success, or a warning with successful objects and a failed_ratio of at \
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
--   onboarding (no success yet, but scheduled for less than a day, or the first backup has been running for less than \
--   14 days); missed (scheduled, and no backup ran for the allowed age); never (no success yet); running_long (the \
--   allowed age is passed, but a backup has been open for less than 48 hours); late (the allowed age is passed); \
--   protected."""
-- data_as_of = """\
--   timestamp, UTC: complete_until of the partition, as in partition_loads: the moment at which ages are evaluated."""
-- last_backup_at = "timestamp, UTC: Finish of the last backup, whatever its outcome; its start where it has no finish."
-- scheduled_interval_hours = """\
--   double, hours: Longest time between two scheduled backups; null where the service is not scheduled, or no load of \
--   the 30 days before the tenant's newest load read the schedule."""
-- allowed_age_hours = """\
--   double, hours: 1.5 times scheduled_interval_hours, else the configuration's. A schedule that changed less than that \
--   ago does not lower it."""
WITH newest AS (
    SELECT a.tenant, max(a.window_end) AS loaded_until
    FROM load_audit AS a
    GROUP BY a.tenant
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
rules AS MATERIALIZED (
    SELECT r.tenant, r.object_type, r.expected, r.ignored, r.allowed_age_hours
    FROM protection_rules AS r
),
named AS (
    SELECT DISTINCT r.tenant FROM rules AS r
),
rules_of AS (
    SELECT t.tenant, r.object_type, r.expected, r.ignored, r.allowed_age_hours
    FROM tenants AS t
    LEFT JOIN named AS n ON n.tenant = t.tenant
    JOIN rules AS r ON r.tenant = coalesce(n.tenant, '')
),
first_schedules AS (
    SELECT s.tenant, s.location, min(s.valid_from) AS known_from
    FROM backup_schedules AS s
    GROUP BY s.tenant, s.location
),
first_versions AS (
    SELECT s.tenant, s.location, s.object_type, min(s.valid_from) AS scheduled_from
    FROM backup_schedules AS s
    WHERE s.interval_hours IS NOT NULL
    GROUP BY s.tenant, s.location, s.object_type
),
schedules AS (
    SELECT
        s.tenant,
        s.location,
        s.object_type,
        max(s.longest_interval_hours) AS interval_hours,
        min(v.scheduled_from) AS scheduled_from,
        -- Null for what the first load of the schedule read: it was in force before, for an unknown time.
        max(CASE WHEN s.valid_from > f.known_from THEN s.valid_from END) AS changed_at
    FROM schedule_versions AS s
    JOIN newest AS n ON n.tenant = s.tenant AND epoch(n.loaded_until) <= s.known_until
    JOIN first_schedules AS f ON f.tenant = s.tenant AND coalesce(f.location, '') = coalesce(s.location, '')
    JOIN first_versions AS v
        ON v.tenant = s.tenant
        AND v.object_type = s.object_type
        AND coalesce(v.location, '') = coalesce(s.location, '')
    WHERE s.valid_to IS NULL AND s.longest_interval_hours IS NOT NULL
    GROUP BY s.tenant, s.location, s.object_type
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
    -- In each known location. A listing of all locations stands for no location beside those: loads send it to prove
    -- completeness and to learn services.
    SELECT a.tenant, a.location, s.object_type
    FROM asked AS a
    JOIN rules_of AS s ON s.tenant = a.tenant
    LEFT JOIN multi_geo AS g ON g.tenant = a.tenant
    WHERE s.expected = 1 AND (a.location IS NOT NULL OR g.tenant IS NULL)
    UNION
    SELECT c.tenant, c.location, c.object_type
    FROM schedules AS c
    WHERE c.location IS NOT NULL
    UNION
    -- The schedule of the central location counts where loads ask for no location.
    SELECT a.tenant, a.location, c.object_type
    FROM asked AS a
    JOIN schedules AS c ON c.tenant = a.tenant AND c.location IS NULL
    LEFT JOIN multi_geo AS g ON g.tenant = a.tenant
    WHERE a.location IS NULL AND g.tenant IS NULL
    UNION
    SELECT h.tenant, h.location, h.object_type
    FROM recently_held AS h
),
latest AS MATERIALIZED (
    -- Few jobs, so that the details of few are looked at, which are most of what this view costs.
    SELECT f.tenant, f.location, f.object_type, f.id, f.start_time, f.finish_time, f.outcome
    FROM held AS h
    JOIN job_facts AS f
        ON f.tenant = h.tenant
        AND f.object_type = h.object_type
        AND coalesce(f.location, '') = coalesce(h.location, '')
        AND f.finish_time >= h.matters_from
    WHERE f.job_type = 'backup'
),
tolerated AS (
    SELECT t.tenant, t.job_id
    FROM latest AS l
    JOIN tolerated_failures AS t ON t.tenant = l.tenant AND t.job_id = l.id
    WHERE l.outcome = 'warning' AND t.tolerated = 1
),
recent AS (
    SELECT
        f.tenant,
        f.location,
        f.object_type,
        f.finish_time,
        f.outcome,
        -- As in evaluated_backups, which looks at all jobs.
        CASE
            WHEN f.outcome = 'success' THEN 1
            WHEN t.job_id IS NOT NULL THEN 1
            ELSE 0
        END AS succeeded,
        row_number() OVER (
            PARTITION BY f.tenant, f.location, f.object_type
            ORDER BY f.finish_time DESC, f.start_time DESC NULLS LAST, f.id COLLATE "C" DESC
        ) AS place
    FROM latest AS f
    LEFT JOIN tolerated AS t ON t.tenant = f.tenant AND t.job_id = f.id
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
joined AS (
    SELECT
        e.tenant,
        e.location,
        e.object_type,
        y.last_success_at,
        (epoch(d.data_as_of) - epoch(y.last_success_at)) / 3600 AS hours_since_success,
        y.last_outcome,
        coalesce(y.consecutive_failures, 0) AS consecutive_failures,
        coalesce(r.open_jobs, 0) AS open_jobs,
        d.data_as_of,
        -- Any of the jobs whose service is not known may be its backups.
        CASE WHEN h.object_type IS NULL AND u.tenant IS NOT NULL THEN 0 ELSE h.typed_jobs END AS typed_jobs,
        h.last_backup AS last_backup_at,
        r.shortest_open,
        s.ignored,
        c.interval_hours AS scheduled_interval_hours,
        CASE WHEN epoch(d.data_as_of) - epoch(c.scheduled_from) < 86400 THEN 1 ELSE 0 END AS newly_scheduled,
        (epoch(d.data_as_of) - epoch(c.changed_at)) / 3600 AS hours_since_change,
        CASE
            WHEN c.interval_hours IS NULL THEN CAST(s.allowed_age_hours AS DOUBLE)
            WHEN c.interval_hours * 1.5 >= s.allowed_age_hours THEN c.interval_hours * 1.5
            WHEN epoch(d.data_as_of) - epoch(c.changed_at) < c.interval_hours * 1.5 * 3600
                THEN CAST(s.allowed_age_hours AS DOUBLE)
            ELSE c.interval_hours * 1.5
        END AS allowed_age_hours
    FROM expected AS e
    JOIN rules_of AS s ON s.tenant = e.tenant AND s.object_type = e.object_type
    LEFT JOIN data_ends AS d
        ON d.tenant = e.tenant
        AND d.object_type = e.object_type
        AND coalesce(d.location, '') = coalesce(e.location, '')
    LEFT JOIN schedules AS c
        ON c.tenant = e.tenant
        AND c.object_type = e.object_type
        AND coalesce(c.location, '') = coalesce(e.location, '')
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
),
evaluated AS (
    SELECT
        j.*,
        CASE
            WHEN j.scheduled_interval_hours IS NULL THEN 0
            WHEN j.shortest_open < 48 THEN 0
            WHEN (epoch(j.data_as_of) - epoch(j.last_backup_at)) / 3600 <= j.allowed_age_hours THEN 0
            WHEN j.hours_since_change <= j.allowed_age_hours THEN 0
            ELSE 1
        END AS is_missed
    FROM joined AS j
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
        WHEN g.last_success_at IS NULL AND g.newly_scheduled = 1 THEN 'onboarding'
        WHEN g.last_success_at IS NULL AND g.consecutive_failures = 0 AND g.shortest_open < 14 * 24 THEN 'onboarding'
        WHEN g.is_missed = 1 THEN 'missed'
        WHEN g.last_success_at IS NULL THEN 'never'
        WHEN g.hours_since_success > g.allowed_age_hours AND g.shortest_open < 48 THEN 'running_long'
        WHEN g.hours_since_success > g.allowed_age_hours THEN 'late'
        ELSE 'protected'
    END AS status,
    g.data_as_of,
    g.last_backup_at,
    g.scheduled_interval_hours,
    g.allowed_age_hours
FROM evaluated AS g
