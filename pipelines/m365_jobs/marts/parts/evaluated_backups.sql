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
        WHEN f.outcome = 'warning' AND f.successful_number > 0 AND f.failed_ratio <= o.tolerated_failed_ratio THEN 1
        ELSE 0
    END AS succeeded
FROM job_facts AS f
CROSS JOIN (
    SELECT max(r.tolerated_failed_ratio) AS tolerated_failed_ratio FROM protection_rules AS r
) AS o
WHERE f.job_type = 'backup'
