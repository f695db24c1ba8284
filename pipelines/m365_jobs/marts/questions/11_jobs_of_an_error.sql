-- question = "Which jobs had the most frequent error?"
-- note = "Put another message, or a part of it with LIKE, in its place to look into that."
SELECT f.tenant, f.location, f.object_type, f.id, f.state, f.finish_time, e.number AS occurrences, e.url
FROM jobs__job_errors AS e
JOIN job_facts AS f ON f.tenant = e.tenant AND f.id = e.job_id
WHERE
    e.value = (
        SELECT error_message
        FROM error_summary
        GROUP BY error_message
        ORDER BY sum(occurrences) DESC, error_message
        LIMIT 1
    )
ORDER BY f.finish_time DESC, f.id
LIMIT 100
