-- question = "Which backups ended without a single object?"
-- note = "They look fine, and back up nothing."
SELECT tenant, location, object_type, count(*) AS jobs, max(finish_time) AS last_finish
FROM job_facts
WHERE job_type = 'backup' AND outcome = 'success' AND total_number = 0
GROUP BY tenant, location, object_type
ORDER BY jobs DESC, tenant, location, object_type
