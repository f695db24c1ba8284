-- about = "What goes wrong most: one row per tenant, object type and error message."
-- key = ["tenant", "object_type", "error_message"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- object_type = "text: Service, such as exchange_online."
-- error_message = "text: The message, as in jobs__job_errors.value."
-- occurrences = "bigint, occurrences: How often it occurred in all; an error without a number counts once."
-- jobs = "bigint, jobs: Jobs that had it."
-- first_seen = "timestamp, UTC: Earliest finish of those jobs; start where a job runs still."
-- last_seen = "timestamp, UTC: Latest finish of those jobs; start where a job runs still."
-- url = "text: Page that explains it; the last in the alphabet where there are several."
SELECT
    e.tenant,
    j.object_type,
    e.value AS error_message,
    CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS occurrences,
    count(DISTINCT e.job_id) AS jobs,
    min(coalesce(j.finish_time, j.start_time)) AS first_seen,
    max(coalesce(j.finish_time, j.start_time)) AS last_seen,
    max(nullif(e.url, '')) AS url
FROM jobs__job_errors AS e
JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
GROUP BY e.tenant, j.object_type, e.value
