-- question = "What are the top errors this week against last?"
-- note = "A week is the seven days up to the newest finish, the last the seven before."
WITH newest AS (
    SELECT max(finish_time) AS finish_time FROM jobs
),
counted AS (
    SELECT
        j.object_type,
        e.value AS error_message,
        sum(CASE WHEN j.finish_time > n.finish_time - INTERVAL '168' HOUR THEN coalesce(e.number, 1) ELSE 0 END) AS this_week,
        sum(CASE WHEN j.finish_time > n.finish_time - INTERVAL '168' HOUR THEN 0 ELSE coalesce(e.number, 1) END) AS last_week
    FROM jobs__job_errors AS e
    JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
    CROSS JOIN newest AS n
    WHERE j.finish_time > n.finish_time - INTERVAL '336' HOUR
    GROUP BY j.object_type, e.value
)
SELECT object_type, error_message, this_week, last_week, this_week - last_week AS change
FROM counted
ORDER BY this_week DESC, last_week DESC, object_type, error_message
LIMIT 20
