-- about = """\
--   What happened day by day, by the tenant's own clock: daily_summary with days of the configured timezone instead of \
--   UTC days. Each job is in both views: add up one of them. ClickHouse, Dremio, SQL Server and Fabric lack this view."""
-- key = ["day", "tenant", "location", "object_type", "job_type"]
--
-- [columns]
-- day = "date, day of time_zone: Day on which the jobs ended; a job counts wholly on it."
-- time_zone = "text: IANA name of the tenant's timezone, such as Asia/Kolkata; UTC where none is configured."
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location that was asked for; null where none was."
-- object_type = "text: Service, such as exchange_online."
-- job_type = "text: backup, restore, export, deletion or retention; null where it is unknown."
-- jobs = "bigint, jobs: Jobs that ended."
-- succeeded_jobs = "bigint, jobs: Those with outcome success."
-- warning_jobs = "bigint, jobs: Those with outcome warning."
-- failed_jobs = "bigint, jobs: Those with outcome failure."
-- other_jobs = "bigint, jobs: All that remain: they ended in a state that says neither."
-- total_objects = "bigint, objects: Objects the jobs were to process."
-- failed_objects = "bigint, objects: Objects that failed."
-- duration_hours = "double, hours: Sum of finish minus start."
WITH zones_of AS MATERIALIZED (
    SELECT z.tenant, z.time_zone FROM tenant_zones AS z
),
finished AS (
    SELECT
        j.tenant,
        j.location,
        j.object_type,
        j.job_type,
        j.outcome,
        j.start_time,
        j.finish_time,
        j.total_number,
        j.failed_number,
        coalesce(o.time_zone, r.time_zone) AS time_zone
    FROM job_facts AS j
    JOIN zones_of AS r ON r.tenant = ''
    LEFT JOIN zones_of AS o ON o.tenant = j.tenant
    WHERE j.finish_time IS NOT NULL
)
SELECT
    CAST(f.finish_time AT TIME ZONE f.time_zone AS DATE) AS day,
    f.time_zone,
    f.tenant,
    f.location,
    f.object_type,
    f.job_type,
    count(*) AS jobs,
    count(CASE WHEN f.outcome = 'success' THEN 1 END) AS succeeded_jobs,
    count(CASE WHEN f.outcome = 'warning' THEN 1 END) AS warning_jobs,
    count(CASE WHEN f.outcome = 'failure' THEN 1 END) AS failed_jobs,
    count(CASE WHEN f.outcome IN ('running', 'other') THEN 1 END) AS other_jobs,
    CAST(coalesce(sum(f.total_number), 0) AS BIGINT) AS total_objects,
    CAST(coalesce(sum(f.failed_number), 0) AS BIGINT) AS failed_objects,
    CAST(coalesce(sum(epoch(f.finish_time) - epoch(f.start_time)), 0) AS DOUBLE) / 3600 AS duration_hours
FROM finished AS f
GROUP BY CAST(f.finish_time AT TIME ZONE f.time_zone AS DATE), f.time_zone, f.tenant, f.location, f.object_type, f.job_type
