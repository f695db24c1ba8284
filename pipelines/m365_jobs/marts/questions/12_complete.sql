-- question = "How fresh is the data, and what is not proved complete?"
-- note = """\
--   Where complete is false, the latest load of the partition exited with code 3 or failed there: jobs may be missing. A \
--   row without a service stands for all services, and for jobs whose service is not known."""
SELECT tenant, location, object_type, complete_until, complete, last_complete_load_at, last_load_at
FROM partition_loads
ORDER BY complete, complete_until NULLS FIRST, tenant, location, object_type
