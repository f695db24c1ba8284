-- about = "What is running: one row per job without a finish whose state does not say that it ended."
-- key = ["tenant", "id"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- id = "text: The job's id, as AvePoint gives it."
-- location = "text: Multi-Geo location that was asked for; null where none was."
-- object_type = "text: Service, such as exchange_online."
-- job_type = "text: backup, restore, export, deletion or retention; null where it is unknown."
-- start_time = "timestamp, UTC: When the job started."
-- hours_open = """\
--   double, hours: How long it had been open at complete_until of its partition, as in partition_loads; at \
--   fetched_at where there is none or the job started later."""
WITH complete_loads AS MATERIALIZED (
    -- Once and for all: PostgreSQL expects a single open job and would add up the audit anew for each there is.
    SELECT p.tenant, p.location, p.object_type, p.complete_until AS data_as_of
    FROM partition_loads AS p
)
SELECT
    f.tenant,
    f.id,
    f.location,
    f.object_type,
    f.job_type,
    f.start_time,
    (
        epoch(CASE WHEN p.data_as_of >= f.start_time THEN p.data_as_of ELSE f.fetched_at END) - epoch(f.start_time)
    ) / 3600 AS hours_open
FROM job_facts AS f
LEFT JOIN complete_loads AS p
    ON p.tenant = f.tenant
    AND coalesce(p.object_type, '') = coalesce(f.object_type, '')
    AND coalesce(p.location, '') = coalesce(f.location, '')
WHERE f.finish_time IS NULL AND f.outcome IN ('running', 'other')
