-- The rules of protection: a row for each service of each tenant with services of its own, and of '', all other tenants.
WITH settings AS (
    -- Stands for the configuration, whose values m365_jobs.marts puts here.
    SELECT DISTINCT
        '' AS tenant,
        j.object_type,
        0 AS expected,
        0 AS ignored,
        26 AS allowed_age_hours,
        0.05 AS tolerated_failed_ratio
    FROM jobs AS j
)
SELECT s.tenant, s.object_type, s.expected, s.ignored, s.allowed_age_hours, s.tolerated_failed_ratio
FROM settings AS s
