-- Every backup with its success: outcome success, or a warning with successful objects and few failed ones.
SELECT
    f.tenant,
    f.id,
    f.location,
    f.object_type,
    f.start_time,
    f.finish_time,
    f.outcome,
    CASE
        WHEN f.outcome = 'success' THEN 1
        WHEN f.outcome = 'warning' AND t.tolerated = 1 THEN 1
        ELSE 0
    END AS succeeded
FROM job_facts AS f
LEFT JOIN tolerated_failures AS t ON t.tenant = f.tenant AND t.job_id = f.id
WHERE f.job_type = 'backup'
