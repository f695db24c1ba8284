-- question = "When was a restore of each service last proved to work?"
-- note = "A restore that ended with at least one object proves it. Services without any come first."
SELECT
    tenant,
    location,
    object_type,
    last_restore_at,
    last_restore_age_days,
    last_restore_hours,
    restores_tried,
    restores_failed
FROM restore_evidence
ORDER BY last_restore_at NULLS FIRST, tenant, location, object_type
