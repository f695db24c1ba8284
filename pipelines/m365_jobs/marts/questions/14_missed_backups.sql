-- question = "Which scheduled backups did not run in the last 7 days?"
-- note = """\
--   The 7 days end with the tenant's newest load (UTC). Skipped backups, before which another still ran, are no miss. \
--   Needs the companion schedule. From 30 days after its last read, the schedule counts as unknown."""
WITH newest AS (
    SELECT tenant, CAST(max(window_end) AT TIME ZONE 'UTC' AS DATE) AS day FROM load_audit GROUP BY tenant
)
SELECT
    c.tenant,
    c.location,
    c.object_type,
    sum(c.scheduled) AS scheduled,
    sum(c.missed) AS missed,
    sum(c.skipped) AS skipped,
    max(CASE WHEN c.missed > 0 THEN c.day END) AS last_missed_on
FROM schedule_compliance AS c
JOIN newest AS n ON n.tenant = c.tenant
WHERE c.day > n.day - 7
GROUP BY c.tenant, c.location, c.object_type
HAVING sum(c.missed) > 0
ORDER BY missed DESC, c.tenant, c.location, c.object_type
