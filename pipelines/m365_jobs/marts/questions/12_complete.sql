-- question = "How fresh is the data, and what is not proved complete?"
-- note = """\
--   The last listing of all job types of each service; a backfill of an older range does not count. Where it is not \
--   complete, jobs may be missing."""
WITH ranked AS (
    SELECT
        tenant,
        location,
        object_type,
        window_end,
        reported_total,
        distinct_jobs,
        complete,
        row_number() OVER (
            PARTITION BY tenant, location, object_type ORDER BY window_end DESC, started_at DESC
        ) AS place
    FROM load_audit
    WHERE job_type IS NULL
)
SELECT tenant, location, object_type, window_end AS read_until, complete, reported_total, distinct_jobs
FROM ranked
WHERE place = 1
ORDER BY complete, read_until, tenant, location, object_type
