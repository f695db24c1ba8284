-- question = "Which backups grow slower every day?"
-- note = "Hours of a backup on average, by service and day: longer on each of its last four days than on the day before."
WITH daily AS (
    SELECT
        tenant,
        location,
        object_type,
        day,
        duration_hours / jobs AS hours_of_a_backup,
        lag(duration_hours / jobs) OVER (PARTITION BY tenant, location, object_type ORDER BY day) AS the_day_before,
        row_number() OVER (PARTITION BY tenant, location, object_type ORDER BY day DESC) AS days_back
    FROM daily_summary
    WHERE job_type = 'backup'
)
SELECT
    tenant,
    location,
    object_type,
    min(hours_of_a_backup) AS first_hours,
    max(hours_of_a_backup) AS last_hours
FROM daily
WHERE days_back <= 4
GROUP BY tenant, location, object_type
HAVING count(CASE WHEN hours_of_a_backup > the_day_before THEN 1 END) = 4
ORDER BY max(hours_of_a_backup) / nullif(min(hours_of_a_backup), 0) DESC NULLS FIRST
