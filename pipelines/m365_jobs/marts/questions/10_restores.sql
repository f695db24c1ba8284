-- question = "How did restores and exports end?"
SELECT object_type, job_type, outcome, count(*) AS jobs, sum(total_number) AS objects, max(finish_time) AS last_finish
FROM job_facts
WHERE job_type IN ('restore', 'export') AND finish_time IS NOT NULL
GROUP BY object_type, job_type, outcome
ORDER BY object_type, job_type, outcome
