-- about = "Every job with its counts, what became of it, and how many errors it had: one row per job."
-- key = ["tenant", "id"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- id = "text: The job's id, as AvePoint gives it."
-- location = "text: Multi-Geo location that was asked for; null where none was."
-- object_type = "text: Service, such as exchange_online; null where the API does not tell services apart."
-- job_type = "text: backup, restore, export, deletion or retention; null where it is unknown."
-- state = "text: The API's word for the state, unchanged."
-- start_time = "timestamp, UTC: When the job started."
-- finish_time = "timestamp, UTC: When it ended; null while it runs."
-- duration_hours = "double, hours: Duration as the API gives it."
-- fetched_at = "timestamp, UTC: When this row was read from the API."
-- total_number = "bigint, objects: Objects the job was to process."
-- failed_number = "bigint, objects: Objects that failed."
-- successful_number = "bigint, objects: Objects that succeeded."
-- skipped_number = "bigint, objects: Objects that were skipped."
-- outcome = """\
--   text: success, warning, failure, running or other, from the state whatever its case and punctuation; codes 1 to \
--   5 count as well. Other is a state that nobody knows."""
-- failed_ratio = "double, 0 to 1: failed_number / total_number; null where the total is 0 or null."
-- error_kinds = "bigint, messages: Distinct error messages of the job; 0 without errors."
-- error_occurrences = "bigint, occurrences: How often errors occurred in all; an error without a number counts once."
WITH errors AS (
    SELECT
        e.tenant,
        e.job_id,
        count(DISTINCT e.value) AS error_kinds,
        CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS error_occurrences
    FROM jobs__job_errors AS e
    GROUP BY e.tenant, e.job_id
)
SELECT
    j.tenant,
    j.id,
    j.location,
    j.object_type,
    j.job_type,
    j.state,
    j.start_time,
    j.finish_time,
    j.duration_hours,
    j.fetched_at,
    d.total_number,
    d.failed_number,
    d.successful_number,
    d.skipped_number,
    CASE j.state
        -- What the API sends, told without the pattern, which takes ten times as long.
        WHEN 'Finished' THEN 'success'
        WHEN 'Finished with Exception' THEN 'warning'
        WHEN 'Partially Finished' THEN 'warning'
        WHEN 'Failed' THEN 'failure'
        WHEN 'In Progress' THEN 'running'
        ELSE
            CASE regexp_replace(lower(j.state COLLATE "C"), '[^a-z0-9]', '', 'g')
                WHEN 'finished' THEN 'success'
                WHEN '2' THEN 'success'
                WHEN 'finishedwithexception' THEN 'warning'
                WHEN '4' THEN 'warning'
                WHEN 'partiallyfinished' THEN 'warning'
                WHEN '5' THEN 'warning'
                WHEN 'failed' THEN 'failure'
                WHEN '3' THEN 'failure'
                WHEN 'inprogress' THEN 'running'
                WHEN '1' THEN 'running'
                ELSE 'other'
            END
    END AS outcome,
    CAST(d.failed_number AS DOUBLE) / nullif(d.total_number, 0) AS failed_ratio,
    coalesce(errors.error_kinds, 0) AS error_kinds,
    coalesce(errors.error_occurrences, 0) AS error_occurrences
FROM jobs AS j
LEFT JOIN jobs__backup_details AS d ON d.tenant = j.tenant AND d.job_id = j.id
LEFT JOIN errors ON errors.tenant = j.tenant AND errors.job_id = j.id
