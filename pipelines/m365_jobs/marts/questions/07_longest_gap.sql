-- question = "What was the longest time without a successful backup in the last 30 days?"
-- note = """\
--   Per service, from the finish of a success to that of the next. The 30 days end with the data. A service without any \
--   success in them is in question 1, one without proved data in question 12."""
SELECT tenant, location, object_type, good_backups, longest_gap_hours, longest_gap_from
FROM recovery_point
ORDER BY longest_gap_hours DESC, tenant, location NULLS FIRST, object_type
