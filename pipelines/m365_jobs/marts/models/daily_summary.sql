-- about = """\
--   What happened day by day: one row per UTC day of finish, tenant, location, object type and job type. Success \
--   rate = succeeded_jobs / (succeeded_jobs + warning_jobs + failed_jobs + other_jobs). Jobs without a finish are not in it."""
-- key = ["day", "tenant", "location", "object_type", "job_type"]
--
-- [columns]
-- day = "date, UTC: Day on which the jobs ended; a job counts wholly on it."
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
SELECT
    CAST(f.finish_time AT TIME ZONE 'UTC' AS DATE) AS day,
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
FROM job_facts AS f
WHERE f.finish_time IS NOT NULL
GROUP BY CAST(f.finish_time AT TIME ZONE 'UTC' AS DATE), f.tenant, f.location, f.object_type, f.job_type
