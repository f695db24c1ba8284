-- question = "What failed in the last day, and why?"
-- note = "Backups, restores and all others, newest first, with the error that occurred most."
WITH ranked AS (
    SELECT
        tenant,
        job_id,
        value AS error_message,
        row_number() OVER (PARTITION BY tenant, job_id ORDER BY coalesce(number, 1) DESC, error_index) AS place
    FROM jobs__job_errors
)
SELECT f.tenant, f.location, f.object_type, f.job_type, f.id, f.finish_time, f.failed_number, r.error_message
FROM job_facts AS f
LEFT JOIN ranked AS r ON r.tenant = f.tenant AND r.job_id = f.id AND r.place = 1
WHERE
    f.outcome = 'failure'
    AND f.finish_time > (SELECT max(window_end) FROM load_audit) - INTERVAL '24' HOUR
ORDER BY f.finish_time DESC, f.id
