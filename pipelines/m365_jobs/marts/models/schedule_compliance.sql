-- about = """\
--   Did every scheduled backup run? One row per tenant, location, service and UTC day, of the 400 days before the data \
--   ends, while the schedule is known. That is from the load that read a version first until 30 days after the last load \
--   that read it. Other days have no row: what was scheduled then is unknown, not missed. A scheduled \
--   backup ran if a backup starts from 70 minutes before its time to half an interval after it. Where a quarter of the \
--   interval is less than 70 minutes, that counts. The start must be before the next scheduled time. Otherwise it is \
--   skipped when the backup before still ran at its time, and else missed: nothing started for an interval and a half. \
--   One that may still start is left out."""
-- key = ["tenant", "location", "object_type", "day"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location; null where none was asked for."
-- object_type = "text: Service, such as exchange_online."
-- day = "date, UTC day: Day of the scheduled times."
-- scheduled = "bigint, backups: Backups that were to start that day: those that ran, were skipped or missed."
-- ran = "bigint, backups: Those that started, whatever came of them."
-- succeeded = "bigint, backups: Those of them that succeeded, as in protection_status."
-- missed = "bigint, backups: Those that did not start."
-- skipped = "bigint, backups: Those that did not start because the backup before still ran, as the product does."
-- compliance = "double, 0 to 1: succeeded / (scheduled - skipped); null without any."
WITH versions AS (
    SELECT
        s.tenant,
        s.location,
        s.object_type,
        s.id,
        s.interval_hours * 3600 AS interval_seconds,
        -- A schedule in local time starts an hour early in the night in which clocks go forward.
        CASE WHEN s.interval_hours < 4.7 THEN s.interval_hours * 900 ELSE 4200 END AS early,
        epoch(s.valid_from) AS valid_from,
        CASE WHEN epoch(s.valid_to) < s.known_until THEN epoch(s.valid_to) ELSE s.known_until END AS valid_until
    FROM schedule_versions AS s
    WHERE s.object_type IS NOT NULL AND s.interval_hours IS NOT NULL
),
scheduled_services AS (
    SELECT DISTINCT v.tenant, v.location, v.object_type FROM versions AS v
),
as_of AS (
    SELECT v.tenant, v.location, v.object_type, epoch(d.data_as_of) AS data_as_of
    FROM scheduled_services AS v
    JOIN data_ends AS d
        ON d.tenant = v.tenant
        AND d.object_type = v.object_type
        AND coalesce(d.location, '') = coalesce(v.location, '')
),
digits AS (
    SELECT 0 AS digit
    UNION ALL SELECT 1
    UNION ALL SELECT 2
    UNION ALL SELECT 3
    UNION ALL SELECT 4
    UNION ALL SELECT 5
    UNION ALL SELECT 6
    UNION ALL SELECT 7
    UNION ALL SELECT 8
    UNION ALL SELECT 9
),
days AS (
    SELECT a.digit + 10 * b.digit + 100 * c.digit AS days_back
    FROM digits AS a
    CROSS JOIN digits AS b
    CROSS JOIN digits AS c
    WHERE c.digit < 4
),
candidates AS (
    SELECT
        v.tenant,
        v.location,
        v.object_type,
        v.interval_seconds,
        v.early,
        v.valid_from,
        v.valid_until,
        a.data_as_of,
        (floor(a.data_as_of / 86400) - d.days_back) * 86400 + t.minute_of_day * 60 AS due
    FROM versions AS v
    JOIN as_of AS a
        ON a.tenant = v.tenant
        AND a.object_type = v.object_type
        AND coalesce(a.location, '') = coalesce(v.location, '')
    JOIN backup_schedules__start_times AS t ON t.tenant = v.tenant AND t.schedule_id = v.id
    JOIN days AS d ON d.days_back * 86400 <= a.data_as_of - v.valid_from + 86400
),
events AS (
    -- Scheduled times and starts of backups in one order, so that each time finds its neighbours without a join.
    SELECT
        c.tenant,
        c.location,
        c.object_type,
        CAST(c.due - c.early AS DOUBLE) AS happens,
        0 AS is_job,
        CAST(c.due AS DOUBLE) AS due,
        CAST(c.due - c.early AS DOUBLE) AS begins,
        CAST(c.interval_seconds AS DOUBLE) AS interval_seconds,
        CAST(c.data_as_of AS DOUBLE) AS data_as_of,
        CAST(NULL AS DOUBLE) AS started,
        CAST(NULL AS DOUBLE) AS started_well,
        CAST(NULL AS DOUBLE) AS runs_until
    FROM candidates AS c
    WHERE c.due >= c.valid_from AND c.due < c.valid_until AND c.due <= c.data_as_of
    UNION ALL
    SELECT
        f.tenant,
        f.location,
        f.object_type,
        CAST(epoch(f.start_time) AS DOUBLE) AS happens,
        1 AS is_job,
        CAST(NULL AS DOUBLE) AS due,
        CAST(NULL AS DOUBLE) AS begins,
        CAST(NULL AS DOUBLE) AS interval_seconds,
        CAST(NULL AS DOUBLE) AS data_as_of,
        CAST(epoch(f.start_time) AS DOUBLE) AS started,
        CAST(CASE WHEN f.succeeded = 1 THEN epoch(f.start_time) END AS DOUBLE) AS started_well,
        -- A backup that has been open for two days no longer runs, as in protection_status.
        CAST(coalesce(epoch(f.finish_time), epoch(f.start_time) + 48 * 3600) AS DOUBLE) AS runs_until
    FROM evaluated_backups AS f
    JOIN as_of AS a
        ON a.tenant = f.tenant
        AND a.object_type = f.object_type
        AND coalesce(a.location, '') = coalesce(f.location, '')
    WHERE epoch(f.start_time) > a.data_as_of - 410 * 86400
),
neighbours AS (
    SELECT
        e.tenant,
        e.location,
        e.object_type,
        e.due,
        e.interval_seconds,
        e.data_as_of,
        -- Backwards, since a frame with a fixed start costs no more than its rows.
        min(e.started) OVER (
            PARTITION BY e.tenant, e.location, e.object_type
            ORDER BY e.happens DESC, e.is_job DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS next_started,
        min(e.started_well) OVER (
            PARTITION BY e.tenant, e.location, e.object_type
            ORDER BY e.happens DESC, e.is_job DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS next_started_well,
        min(e.begins) OVER (
            PARTITION BY e.tenant, e.location, e.object_type
            ORDER BY e.happens DESC, e.is_job DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS next_begins,
        max(e.runs_until) OVER (
            PARTITION BY e.tenant, e.location, e.object_type
            ORDER BY e.happens, e.is_job
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS busy_until
    FROM events AS e
),
slots AS (
    SELECT
        n.tenant,
        n.location,
        n.object_type,
        n.due,
        n.data_as_of,
        n.next_started,
        n.next_started_well,
        n.busy_until,
        CASE
            WHEN n.next_begins < n.due + n.interval_seconds / 2 THEN n.next_begins
            ELSE n.due + n.interval_seconds / 2
        END AS deadline
    FROM neighbours AS n
    WHERE n.due IS NOT NULL
),
evaluated AS (
    SELECT
        s.tenant,
        s.location,
        s.object_type,
        CAST('1970-01-01' AS DATE) + CAST(floor(s.due / 86400) AS INTEGER) AS day,
        CASE
            WHEN s.next_started < s.deadline THEN 'ran'
            WHEN s.busy_until > s.due THEN 'skipped'
            WHEN s.deadline <= s.data_as_of THEN 'missed'
        END AS result,
        CASE WHEN s.next_started_well < s.deadline THEN 1 ELSE 0 END AS succeeded
    FROM slots AS s
)
SELECT
    v.tenant,
    v.location,
    v.object_type,
    v.day,
    count(*) AS scheduled,
    count(CASE WHEN v.result = 'ran' THEN 1 END) AS ran,
    count(CASE WHEN v.succeeded = 1 THEN 1 END) AS succeeded,
    count(CASE WHEN v.result = 'missed' THEN 1 END) AS missed,
    count(CASE WHEN v.result = 'skipped' THEN 1 END) AS skipped,
    CAST(count(CASE WHEN v.succeeded = 1 THEN 1 END) AS DOUBLE)
    / nullif(count(CASE WHEN v.result <> 'skipped' THEN 1 END), 0) AS compliance
FROM evaluated AS v
WHERE v.result IS NOT NULL
GROUP BY v.tenant, v.location, v.object_type, v.day
