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
-- first_seen_at = "timestamp, UTC: When a load first read this job."
-- fetched_at = "timestamp, UTC: When a load first read this state of the job."
-- total_number = "bigint, objects: Objects the job was to process."
-- failed_number = "bigint, objects: Objects that failed."
-- successful_number = "bigint, objects: Objects that succeeded."
-- skipped_number = "bigint, objects: Objects that were skipped."
-- outcome = """\
--   text: success, warning, failure, running or other, from the state whatever its case and punctuation; codes 1 to \
--   5 count as well. An unusual word means what state_words tells of it; without an entry it is other."""
-- failed_ratio = "double, 0 to 1: failed_number / total_number; null where the total is 0 or null."
-- distinct_errors = "bigint, messages: Distinct error messages of the job; 0 without errors."
-- error_occurrences = "bigint, occurrences: How often errors occurred in all; an error without a number counts once."
-- errors_may_be_cut = """\
--   boolean: Whether more objects failed than error_occurrences tells of: the API lists the top errors of a job only."""
WITH errors AS (
    SELECT
        e.tenant,
        e.job_id,
        count(DISTINCT e.value) AS distinct_errors,
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
    j.first_seen_at,
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
        WHEN 'InProgress' THEN 'running'
        -- Codes stand alone: without its letters of another alphabet, a word with a number would be one.
        WHEN '1' THEN 'running'
        WHEN '2' THEN 'success'
        WHEN '3' THEN 'failure'
        WHEN '4' THEN 'warning'
        WHEN '5' THEN 'warning'
        ELSE
            CASE regexp_replace(lower(j.state COLLATE "C"), '[^a-z0-9]', '', 'g')
                WHEN 'finished' THEN 'success'
                WHEN 'finishedwithexception' THEN 'warning'
                WHEN 'finishedexception' THEN 'warning'
                WHEN 'partiallyfinished' THEN 'warning'
                WHEN 'failed' THEN 'failure'
                WHEN 'inprogress' THEN 'running'
                ELSE
                    CASE w.state
                        WHEN 1 THEN 'running'
                        WHEN 2 THEN 'success'
                        WHEN 3 THEN 'failure'
                        WHEN 4 THEN 'warning'
                        WHEN 5 THEN 'warning'
                        ELSE 'other'
                    END
            END
    END AS outcome,
    CAST(d.failed_number AS DOUBLE) / nullif(d.total_number, 0) AS failed_ratio,
    coalesce(errors.distinct_errors, 0) AS distinct_errors,
    coalesce(errors.error_occurrences, 0) AS error_occurrences,
    CASE WHEN d.failed_number > coalesce(errors.error_occurrences, 0) THEN TRUE ELSE FALSE END AS errors_may_be_cut
FROM jobs AS j
LEFT JOIN jobs__backup_details AS d ON d.tenant = j.tenant AND d.job_id = j.id
LEFT JOIN state_words AS w ON w.word = j.state
LEFT JOIN errors ON errors.tenant = j.tenant AND errors.job_id = j.id
