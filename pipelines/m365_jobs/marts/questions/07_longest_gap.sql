-- question = "What was the longest time without a successful backup in the last 30 days?"
-- note = """\
--   Per service, from the finish of a success to that of the next. The 30 days end with the newest finish of the \
--   tenant. A service without any success is in question 1."""
WITH newest AS (
    SELECT tenant, max(finish_time) AS finish_time FROM jobs GROUP BY tenant
),
successes AS (
    SELECT
        f.tenant,
        f.location,
        f.object_type,
        f.finish_time,
        coalesce(
            lead(f.finish_time) OVER (PARTITION BY f.tenant, f.location, f.object_type ORDER BY f.finish_time),
            n.finish_time
        ) AS success_after
    FROM job_facts AS f
    JOIN newest AS n ON n.tenant = f.tenant
    WHERE
        f.job_type = 'backup'
        AND f.outcome = 'success'
        AND f.finish_time > n.finish_time - INTERVAL '720' HOUR
)
SELECT
    tenant,
    location,
    object_type,
    count(*) AS successes,
    max(extract(EPOCH FROM success_after) - extract(EPOCH FROM finish_time)) / 3600 AS longest_gap_hours
FROM successes
GROUP BY tenant, location, object_type
ORDER BY longest_gap_hours DESC, tenant, location, object_type
