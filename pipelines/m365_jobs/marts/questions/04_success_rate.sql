-- question = "What is the success rate by location and week?"
-- note = "Weeks begin on Monday. Success rate = succeeded_jobs / (succeeded_jobs + warning_jobs + failed_jobs + other_jobs)."
SELECT
    location,
    CAST(date_trunc('week', day) AS DATE) AS week,
    sum(jobs) AS jobs,
    100.0 * sum(succeeded_jobs) / sum(succeeded_jobs + warning_jobs + failed_jobs + other_jobs) AS success_percent
FROM daily_summary
WHERE job_type = 'backup'
GROUP BY location, CAST(date_trunc('week', day) AS DATE)
ORDER BY location NULLS FIRST, week
