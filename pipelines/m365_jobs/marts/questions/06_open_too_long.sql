-- question = "Which jobs have been running for more than a day?"
SELECT tenant, location, object_type, job_type, id, start_time, hours_open
FROM open_jobs
WHERE hours_open > 24
ORDER BY hours_open DESC, id
