-- question = "On which days does something look like an attack?"
-- note = """\
--   Unusual activity and a jump of failed objects on one day weigh most: encrypted objects fail, or change all at once. \
--   Needs the companion unusual_activity."""
SELECT
    tenant,
    location,
    object_type,
    service,
    day,
    signals,
    potential_ransomware_attacks,
    unusual_activities,
    failed_objects,
    usual_failed_objects
FROM suspicious_days
ORDER BY CASE signals WHEN 'both' THEN 0 WHEN 'activity' THEN 1 ELSE 2 END, day DESC, tenant, location, object_type,
    service
