-- Whether the warning of each job counts as a success: objects succeeded, and few failed. A column tells it, as a filter
-- would let a destination expect few rows and hold all of them for a join.
SELECT
    d.tenant,
    d.job_id,
    CASE
        WHEN d.successful_number > 0
            AND CAST(d.failed_number AS DOUBLE) / nullif(d.total_number, 0) <= o.tolerated_failed_ratio THEN 1
        ELSE 0
    END AS tolerated
FROM jobs__backup_details AS d
CROSS JOIN (
    SELECT max(r.tolerated_failed_ratio) AS tolerated_failed_ratio FROM protection_rules AS r
) AS o
