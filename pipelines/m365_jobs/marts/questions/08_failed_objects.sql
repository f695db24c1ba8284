-- question = "Where do most objects fail?"
-- note = "Objects of backups in the 30 days up to the newest finish."
SELECT
    object_type,
    sum(total_objects) AS objects,
    sum(failed_objects) AS failed,
    100.0 * sum(failed_objects) / nullif(sum(total_objects), 0) AS failed_percent
FROM daily_summary
WHERE job_type = 'backup' AND day > CAST((SELECT max(finish_time) FROM jobs) AT TIME ZONE 'UTC' AS DATE) - 30
GROUP BY object_type
HAVING sum(failed_objects) > 0
ORDER BY failed DESC, object_type
