-- The time zones of the configuration: a row for each tenant with a zone of its own, and of '', all other tenants.
WITH zones AS (
    -- Stands for the configuration, whose values m365_jobs.marts puts here.
    SELECT '' AS tenant, 'UTC' AS time_zone
)
SELECT z.tenant, z.time_zone
FROM zones AS z
