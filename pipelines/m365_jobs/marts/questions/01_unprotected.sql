-- question = "Which services had no good backup in the last day?"
-- note = "The last day is the one before data_as_of, up to which the data is proved complete."
SELECT tenant, location, object_type, status, last_success_at, hours_since_success
FROM protection_status
WHERE status <> 'ignored' AND (hours_since_success IS NULL OR hours_since_success > 24)
ORDER BY last_success_at NULLS FIRST, tenant, location, object_type
