CREATE OR REPLACE VIEW "m365_shipped_dataset"."schedule_compliance" AS
WITH versions AS (
  SELECT
    s.tenant AS tenant,
    s.location AS location,
    s.object_type AS object_type,
    s.id AS id,
    s.interval_hours * 3600 AS interval_seconds,
    CASE WHEN s.interval_hours < 4.7 THEN s.interval_hours * 900 ELSE 4200 END AS early,
    EPOCH(s.valid_from) AS valid_from,
    CASE
      WHEN EPOCH(s.valid_to) < s.known_until
      THEN EPOCH(s.valid_to)
      ELSE s.known_until
    END AS valid_until
  FROM (
    WITH reads AS (
      SELECT
        c.tenant AS tenant,
        c.location AS location,
        c.asked_at AS asked_at,
        LAG(c.asked_at) OVER (PARTITION BY c.tenant, c.location ORDER BY c.asked_at) AS asked_before,
        LEAD(c.asked_at) OVER (PARTITION BY c.tenant, c.location ORDER BY c.asked_at) AS asked_after
      FROM "m365_shipped_dataset"."companion_loads" AS c
      WHERE
        c.companion = 'schedule' AND c.status = 'loaded'
    ), versions AS (
      SELECT
        s.tenant AS tenant,
        s.location AS location,
        s.object_type AS object_type,
        s.interval_hours AS interval_hours,
        s.valid_from AS valid_from,
        s.valid_to AS valid_to,
        s.id AS id,
        CASE WHEN s.valid_to IS NULL THEN r.asked_at ELSE r.asked_before END AS read_again_at
      FROM "m365_shipped_dataset"."backup_schedules" AS s
      LEFT JOIN reads AS r
        ON r.tenant = s.tenant
        AND COALESCE(r.location, '') = COALESCE(s.location, '')
        AND (
          s.valid_to IS NULL OR r.asked_at <= s.valid_to
        )
        AND (
          r.asked_after IS NULL OR r.asked_after > s.valid_to
        )
    ), dated AS (
      SELECT
        v.tenant AS tenant,
        v.location AS location,
        v.object_type AS object_type,
        v.interval_hours AS interval_hours,
        v.valid_from AS valid_from,
        v.valid_to AS valid_to,
        v.id AS id,
        CASE WHEN v.read_again_at > v.valid_from THEN v.read_again_at ELSE v.valid_from END AS last_read_at
      FROM versions AS v
    )
    SELECT
      d.tenant AS tenant,
      d.location AS location,
      d.object_type AS object_type,
      d.interval_hours AS interval_hours,
      d.valid_from AS valid_from,
      d.valid_to AS valid_to,
      d.id AS id,
      EPOCH(d.last_read_at) + 30 * 86400 AS known_until
    FROM dated AS d
  ) AS s
  WHERE
    NOT s.object_type IS NULL AND NOT s.interval_hours IS NULL
), scheduled_services AS (
  SELECT DISTINCT
    v.tenant AS tenant,
    v.location AS location,
    v.object_type AS object_type
  FROM versions AS v
), as_of AS (
  SELECT
    v.tenant AS tenant,
    v.location AS location,
    v.object_type AS object_type,
    EPOCH(d.data_as_of) AS data_as_of
  FROM scheduled_services AS v
  JOIN (
    WITH reached AS MATERIALIZED (
      SELECT
        p.tenant AS tenant,
        p.location AS location,
        p.object_type AS object_type,
        p.complete_until AS complete_until
      FROM (
        WITH listings AS (
          SELECT
            a.tenant AS tenant,
            a.location AS location,
            a.object_type AS object_type,
            a.run_id AS run_id,
            MAX(a.window_end) AS window_end,
            MIN(CASE WHEN a.complete = TRUE THEN 1 ELSE 0 END) AS complete
          FROM "m365_shipped_dataset"."load_audit" AS a
          WHERE
            a.job_type IS NULL
          GROUP BY
            a.tenant,
            a.location,
            a.object_type,
            a.run_id
        ), partitions AS (
          SELECT
            i.tenant AS tenant,
            i.location AS location,
            i.object_type AS object_type
          FROM listings AS i
          UNION
          SELECT
            j.tenant AS tenant,
            j.location AS location,
            j.object_type AS object_type
          FROM "m365_shipped_dataset"."jobs" AS j
        ), relevant AS (
          SELECT
            p.tenant AS tenant,
            p.location AS location,
            p.object_type AS object_type,
            i.run_id AS run_id,
            i.window_end AS window_end,
            i.complete AS complete
          FROM partitions AS p
          JOIN listings AS i
            ON i.tenant = p.tenant
            AND COALESCE(i.location, '') = COALESCE(p.location, '')
            AND COALESCE(i.object_type, '') = COALESCE(p.object_type, '')
          UNION ALL
          SELECT
            p.tenant AS tenant,
            p.location AS location,
            p.object_type AS object_type,
            i.run_id AS run_id,
            i.window_end AS window_end,
            i.complete AS complete
          FROM partitions AS p
          JOIN listings AS i
            ON i.tenant = p.tenant AND COALESCE(i.location, '') = COALESCE(p.location, '')
          WHERE
            i.object_type IS NULL AND NOT p.object_type IS NULL
          UNION ALL
          SELECT
            p.tenant AS tenant,
            p.location AS location,
            p.object_type AS object_type,
            i.run_id AS run_id,
            i.window_end AS window_end,
            i.complete AS complete
          FROM partitions AS p
          JOIN listings AS i
            ON i.tenant = p.tenant AND COALESCE(i.object_type, '') = COALESCE(p.object_type, '')
          WHERE
            i.location IS NULL AND NOT p.location IS NULL
          UNION ALL
          SELECT
            p.tenant AS tenant,
            p.location AS location,
            p.object_type AS object_type,
            i.run_id AS run_id,
            i.window_end AS window_end,
            i.complete AS complete
          FROM partitions AS p
          JOIN listings AS i
            ON i.tenant = p.tenant
          WHERE
            i.location IS NULL
            AND i.object_type IS NULL
            AND NOT p.location IS NULL
            AND NOT p.object_type IS NULL
        ), loads AS (
          SELECT
            r.tenant AS tenant,
            r.location AS location,
            r.object_type AS object_type,
            MAX(r.window_end) AS window_end,
            MIN(r.complete) AS complete
          FROM relevant AS r
          GROUP BY
            r.tenant,
            r.location,
            r.object_type,
            r.run_id
        ), reached AS (
          SELECT
            l.tenant AS tenant,
            l.location AS location,
            l.object_type AS object_type,
            MAX(CASE WHEN l.complete = 1 THEN l.window_end END) AS complete_until
          FROM loads AS l
          GROUP BY
            l.tenant,
            l.location,
            l.object_type
        )
        SELECT
          e.tenant AS tenant,
          e.location AS location,
          e.object_type AS object_type,
          e.complete_until AS complete_until
        FROM reached AS e
      ) AS p
    ), places AS (
      SELECT
        r.tenant AS tenant,
        r.location AS location
      FROM reached AS r
      UNION
      SELECT
        s.tenant AS tenant,
        s.location AS location
      FROM "m365_shipped_dataset"."backup_schedules" AS s
    ), services AS (
      SELECT DISTINCT
        r.object_type AS object_type
      FROM (
        WITH settings AS (
          SELECT
            'm365_shipped_settings' AS tenant
        )
        SELECT
          s.object_type AS object_type
        FROM settings AS s
      ) AS r
    )
    SELECT
      w.tenant AS tenant,
      w.location AS location,
      v.object_type AS object_type,
      CASE
        WHEN NOT p.tenant IS NULL
        THEN p.complete_until
        WHEN NOT l.tenant IS NULL
        THEN l.complete_until
        ELSE t.complete_until
      END AS data_as_of
    FROM places AS w
    CROSS JOIN services AS v
    LEFT JOIN reached AS p
      ON p.tenant = w.tenant
      AND p.object_type = v.object_type
      AND COALESCE(p.location, '') = COALESCE(w.location, '')
    LEFT JOIN reached AS l
      ON l.tenant = w.tenant
      AND l.object_type IS NULL
      AND COALESCE(l.location, '') = COALESCE(w.location, '')
    LEFT JOIN reached AS t
      ON t.tenant = w.tenant AND t.object_type IS NULL AND t.location IS NULL
  ) AS d
    ON d.tenant = v.tenant
    AND d.object_type = v.object_type
    AND COALESCE(d.location, '') = COALESCE(v.location, '')
), digits AS (
  SELECT
    0 AS digit
  UNION ALL
  SELECT
    1 AS "1"
  UNION ALL
  SELECT
    2 AS "2"
  UNION ALL
  SELECT
    3 AS "3"
  UNION ALL
  SELECT
    4 AS "4"
  UNION ALL
  SELECT
    5 AS "5"
  UNION ALL
  SELECT
    6 AS "6"
  UNION ALL
  SELECT
    7 AS "7"
  UNION ALL
  SELECT
    8 AS "8"
  UNION ALL
  SELECT
    9 AS "9"
), days AS (
  SELECT
    a.digit + 10 * b.digit + 100 * c.digit AS days_back
  FROM digits AS a
  CROSS JOIN digits AS b
  CROSS JOIN digits AS c
  WHERE
    c.digit < 4
), candidates AS (
  SELECT
    v.tenant AS tenant,
    v.location AS location,
    v.object_type AS object_type,
    v.interval_seconds AS interval_seconds,
    v.early AS early,
    v.valid_from AS valid_from,
    v.valid_until AS valid_until,
    a.data_as_of AS data_as_of,
    (
      FLOOR(a.data_as_of / 86400) - d.days_back
    ) * 86400 + t.minute_of_day * 60 AS due
  FROM versions AS v
  JOIN as_of AS a
    ON a.tenant = v.tenant
    AND a.object_type = v.object_type
    AND COALESCE(a.location, '') = COALESCE(v.location, '')
  JOIN "m365_shipped_dataset"."backup_schedules__start_times" AS t
    ON t.tenant = v.tenant AND t.schedule_id = v.id
  JOIN days AS d
    ON d.days_back * 86400 <= a.data_as_of - v.valid_from + 86400
), events AS (
  SELECT
    c.tenant AS tenant,
    c.location AS location,
    c.object_type AS object_type,
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
  WHERE
    c.due >= c.valid_from AND c.due < c.valid_until AND c.due <= c.data_as_of
  UNION ALL
  SELECT
    f.tenant AS tenant,
    f.location AS location,
    f.object_type AS object_type,
    CAST(EPOCH(f.start_time) AS DOUBLE) AS happens,
    1 AS is_job,
    CAST(NULL AS DOUBLE) AS due,
    CAST(NULL AS DOUBLE) AS begins,
    CAST(NULL AS DOUBLE) AS interval_seconds,
    CAST(NULL AS DOUBLE) AS data_as_of,
    CAST(EPOCH(f.start_time) AS DOUBLE) AS started,
    CAST(CASE WHEN f.succeeded = 1 THEN EPOCH(f.start_time) END AS DOUBLE) AS started_well,
    CAST(COALESCE(EPOCH(f.finish_time), EPOCH(f.start_time) + 48 * 3600) AS DOUBLE) AS runs_until
  FROM (
    SELECT
      f.tenant AS tenant,
      f.location AS location,
      f.object_type AS object_type,
      f.start_time AS start_time,
      f.finish_time AS finish_time,
      CASE
        WHEN f.outcome = 'success'
        THEN 1
        WHEN f.outcome = 'warning' AND t.tolerated = 1
        THEN 1
        ELSE 0
      END AS succeeded
    FROM (
      SELECT
        j.tenant AS tenant,
        j.id AS id,
        j.location AS location,
        j.object_type AS object_type,
        j.job_type AS job_type,
        j.start_time AS start_time,
        j.finish_time AS finish_time,
        CASE j.state
          WHEN 'Finished'
          THEN 'success'
          WHEN 'Finished with Exception'
          THEN 'warning'
          WHEN 'Partially Finished'
          THEN 'warning'
          WHEN 'Failed'
          THEN 'failure'
          WHEN 'In Progress'
          THEN 'running'
          WHEN 'InProgress'
          THEN 'running'
          WHEN '1'
          THEN 'running'
          WHEN '2'
          THEN 'success'
          WHEN '3'
          THEN 'failure'
          WHEN '4'
          THEN 'warning'
          WHEN '5'
          THEN 'warning'
          ELSE CASE REGEXP_REPLACE(LOWER(j.state COLLATE "C"), '[^a-z0-9]', '', 'g')
            WHEN 'finished'
            THEN 'success'
            WHEN 'finishedwithexception'
            THEN 'warning'
            WHEN 'finishedexception'
            THEN 'warning'
            WHEN 'partiallyfinished'
            THEN 'warning'
            WHEN 'failed'
            THEN 'failure'
            WHEN 'inprogress'
            THEN 'running'
            ELSE CASE w.state
              WHEN 1
              THEN 'running'
              WHEN 2
              THEN 'success'
              WHEN 3
              THEN 'failure'
              WHEN 4
              THEN 'warning'
              WHEN 5
              THEN 'warning'
              ELSE 'other'
            END
          END
        END AS outcome
      FROM "m365_shipped_dataset"."jobs" AS j
      LEFT JOIN "m365_shipped_dataset"."state_words" AS w
        ON w.word = j.state
    ) AS f
    LEFT JOIN (
      SELECT
        d.tenant AS tenant,
        d.job_id AS job_id,
        CASE
          WHEN d.successful_number > 0
          AND CAST(d.failed_number AS DOUBLE) / NULLIF(d.total_number, 0) <= o.tolerated_failed_ratio
          THEN 1
          ELSE 0
        END AS tolerated
      FROM "m365_shipped_dataset"."jobs__backup_details" AS d
      CROSS JOIN (
        SELECT
          MAX(r.tolerated_failed_ratio) AS tolerated_failed_ratio
        FROM (
          WITH settings AS (
            SELECT
              'm365_shipped_settings' AS tenant
          )
          SELECT
            s.tolerated_failed_ratio AS tolerated_failed_ratio
          FROM settings AS s
        ) AS r
      ) AS o
    ) AS t
      ON t.tenant = f.tenant AND t.job_id = f.id
    WHERE
      f.job_type = 'backup'
  ) AS f
  JOIN as_of AS a
    ON a.tenant = f.tenant
    AND a.object_type = f.object_type
    AND COALESCE(a.location, '') = COALESCE(f.location, '')
  WHERE
    EPOCH(f.start_time) > a.data_as_of - 410 * 86400
), neighbours AS (
  SELECT
    e.tenant AS tenant,
    e.location AS location,
    e.object_type AS object_type,
    e.due AS due,
    e.interval_seconds AS interval_seconds,
    e.data_as_of AS data_as_of,
    MIN(e.started) OVER (
      PARTITION BY e.tenant, e.location, e.object_type
      ORDER BY e.happens DESC, e.is_job DESC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS next_started,
    MIN(e.started_well) OVER (
      PARTITION BY e.tenant, e.location, e.object_type
      ORDER BY e.happens DESC, e.is_job DESC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS next_started_well,
    MIN(e.begins) OVER (
      PARTITION BY e.tenant, e.location, e.object_type
      ORDER BY e.happens DESC, e.is_job DESC
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS next_begins,
    MAX(e.runs_until) OVER (
      PARTITION BY e.tenant, e.location, e.object_type
      ORDER BY e.happens, e.is_job
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS busy_until
  FROM events AS e
), slots AS (
  SELECT
    n.tenant AS tenant,
    n.location AS location,
    n.object_type AS object_type,
    n.due AS due,
    n.data_as_of AS data_as_of,
    n.next_started AS next_started,
    n.next_started_well AS next_started_well,
    n.busy_until AS busy_until,
    CASE
      WHEN n.next_begins < n.due + n.interval_seconds / 2
      THEN n.next_begins
      ELSE n.due + n.interval_seconds / 2
    END AS deadline
  FROM neighbours AS n
  WHERE
    NOT n.due IS NULL
), evaluated AS (
  SELECT
    s.tenant AS tenant,
    s.location AS location,
    s.object_type AS object_type,
    CAST('1970-01-01' AS DATE) + CAST(FLOOR(s.due / 86400) AS INT) AS day,
    CASE
      WHEN s.next_started < s.deadline
      THEN 'ran'
      WHEN s.busy_until > s.due
      THEN 'skipped'
      WHEN s.deadline <= s.data_as_of
      THEN 'missed'
    END AS result,
    CASE WHEN s.next_started_well < s.deadline THEN 1 ELSE 0 END AS succeeded
  FROM slots AS s
)
SELECT
  v.tenant AS tenant,
  v.location AS location,
  v.object_type AS object_type,
  v.day AS day,
  COUNT(*) AS scheduled,
  COUNT(CASE WHEN v.result = 'ran' THEN 1 END) AS ran,
  COUNT(CASE WHEN v.succeeded = 1 THEN 1 END) AS succeeded,
  COUNT(CASE WHEN v.result = 'missed' THEN 1 END) AS missed,
  COUNT(CASE WHEN v.result = 'skipped' THEN 1 END) AS skipped,
  CAST(COUNT(CASE WHEN v.succeeded = 1 THEN 1 END) AS DOUBLE) / NULLIF(COUNT(CASE WHEN v.result <> 'skipped' THEN 1 END), 0) AS compliance
FROM evaluated AS v
WHERE
  NOT v.result IS NULL
GROUP BY
  v.tenant,
  v.location,
  v.object_type,
  v.day
