-- question = "Where was the time between two good backups longer than the schedule promises?"
-- note = "In the 30 days before the data ends, with an hour of tolerance. Needs the companion schedule."
SELECT
    tenant,
    location,
    object_type,
    longest_gap_hours,
    promised_gap_hours,
    longest_gap_from,
    good_backups
FROM recovery_point
WHERE longest_gap_hours > promised_gap_hours + 1
ORDER BY longest_gap_hours - promised_gap_hours DESC, tenant, location, object_type
