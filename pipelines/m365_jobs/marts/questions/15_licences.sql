-- question = "Is the subscription in policy, and when do seats or storage run out?"
-- note = """\
--   A time in the past says since when it is out of policy: objects that are new since then are not backed up, although \
--   jobs succeed. Needs the companion licenses."""
WITH newest AS (
    SELECT tenant, location, max(day) AS day FROM license_consumption GROUP BY tenant, location
)
SELECT
    l.tenant,
    l.location,
    l.day,
    CASE
        WHEN l.out_of_policy_time_raw IS NULL AND l.out_of_policy_at IS NULL THEN 'unknown'
        WHEN l.out_of_policy_at IS NULL THEN 'in policy'
        WHEN l.out_of_policy_at <= l.snapshot_at THEN 'out of policy'
        ELSE 'expires'
    END AS policy,
    l.out_of_policy_at,
    t.seats_used_ratio,
    t.seats_run_out_on,
    t.storage_used_ratio,
    t.storage_run_out_on
FROM license_consumption AS l
JOIN newest AS n ON n.tenant = l.tenant AND n.day = l.day AND coalesce(n.location, '') = coalesce(l.location, '')
JOIN license_trend AS t ON t.tenant = l.tenant AND t.day = l.day AND coalesce(t.location, '') = coalesce(l.location, '')
ORDER BY l.tenant, l.location
