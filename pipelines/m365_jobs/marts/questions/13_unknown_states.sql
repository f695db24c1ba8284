-- question = "Which unrecognised states does the API send?"
-- note = "Their outcome is other, which counts as neither success nor failure."
SELECT state, count(*) AS jobs, min(start_time) AS first_start, max(start_time) AS last_start
FROM job_facts
WHERE outcome = 'other'
GROUP BY state
ORDER BY jobs DESC, state
