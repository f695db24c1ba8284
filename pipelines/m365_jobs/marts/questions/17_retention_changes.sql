-- question = "What is kept shorter, backed up less often, or switched off, and since when?"
-- note = "Each change lies between two loads that read the settings. Needs the companions schedule and retention."
SELECT
    tenant,
    location,
    setting,
    level,
    service,
    container_name,
    change,
    old_value,
    new_value,
    changed_after,
    changed_before
FROM settings_changes
WHERE change IN ('shortened', 'less_often', 'switched_off', 'changed')
ORDER BY changed_before DESC, tenant, location, setting, level, service
