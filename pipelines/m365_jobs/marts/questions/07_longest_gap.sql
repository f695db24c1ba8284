-- question = "What was the longest time without a successful backup in the last 30 days?"
-- note = "Per service, between the finishes of two successful jobs; 30 days back from the newest finish."
WITH successes AS (
    SELECT
        tenant,
        location,
        object_type,
        finish_time,
        lag(finish_time) OVER (PARTITION BY tenant, location, object_type ORDER BY finish_time) AS success_before
    FROM job_facts
    WHERE
        job_type = 'backup'
        AND outcome = 'success'
        AND finish_time > (SELECT max(finish_time) FROM jobs) - INTERVAL '30' DAY
)
SELECT
    tenant,
    location,
    object_type,
    count(*) AS successes,
    max(extract(EPOCH FROM finish_time - success_before)) / 3600 AS longest_gap_hours
FROM successes
GROUP BY tenant, location, object_type
ORDER BY longest_gap_hours DESC NULLS LAST, tenant, location, object_type
