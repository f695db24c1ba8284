CREATE OR REPLACE VIEW "m365_shipped_dataset"."recovery_point" AS
WITH as_of AS (
  SELECT
    p.tenant AS tenant,
    p.location AS location,
    p.object_type AS object_type,
    p.complete_until AS data_as_of
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
  WHERE
    NOT p.object_type IS NULL AND NOT p.complete_until IS NULL
), good AS (
  SELECT
    f.tenant AS tenant,
    f.location AS location,
    f.object_type AS object_type,
    f.finish_time AS finish_time,
    a.data_as_of AS data_as_of
  FROM (
    SELECT
      f.tenant AS tenant,
      f.location AS location,
      f.object_type AS object_type,
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
          AND CAST(d.failed_number AS DOUBLE PRECISION) / NULLIF(d.total_number, 0) <= o.tolerated_failed_ratio
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
    f.succeeded = 1 AND f.finish_time <= a.data_as_of
), gaps AS (
  SELECT
    g.tenant AS tenant,
    g.location AS location,
    g.object_type AS object_type,
    g.finish_time AS finish_time,
    g.data_as_of AS data_as_of,
    DATE_PART(
      'epoch',
      COALESCE(
        LEAD(g.finish_time) OVER (PARTITION BY g.tenant, g.location, g.object_type ORDER BY g.finish_time),
        g.data_as_of
      )
    ) - DATE_PART('epoch', g.finish_time) AS gap_seconds,
    CASE
      WHEN DATE_PART('epoch', g.data_as_of) - DATE_PART('epoch', g.finish_time) <= 30 * 86400
      THEN 1
      ELSE 0
    END AS is_recent
  FROM good AS g
), ranked AS (
  SELECT
    g.tenant AS tenant,
    g.location AS location,
    g.object_type AS object_type,
    g.finish_time AS finish_time,
    g.data_as_of AS data_as_of,
    g.gap_seconds AS gap_seconds,
    ROW_NUMBER() OVER (
      PARTITION BY g.tenant, g.location, g.object_type
      ORDER BY g.gap_seconds DESC NULLS LAST, g.finish_time
    ) AS place,
    SUM(g.is_recent) OVER (PARTITION BY g.tenant, g.location, g.object_type) AS good_backups
  FROM gaps AS g
  WHERE
    DATE_PART('epoch', g.data_as_of) - DATE_PART('epoch', g.finish_time) - g.gap_seconds <= 30 * 86400
), promised AS (
  SELECT
    s.tenant AS tenant,
    s.location AS location,
    s.object_type AS object_type,
    MAX(s.longest_interval_hours) AS interval_hours,
    MAX(s.known_until) AS known_until
  FROM (
    WITH gaps AS (
      SELECT
        t.tenant AS tenant,
        t.schedule_id AS schedule_id,
        COALESCE(
          LEAD(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id ORDER BY t.minute_of_day),
          MIN(t.minute_of_day) OVER (PARTITION BY t.tenant, t.schedule_id) + 24 * 60
        ) - t.minute_of_day AS minutes
      FROM "m365_shipped_dataset"."backup_schedules__start_times" AS t
    ), longest AS (
      SELECT
        g.tenant AS tenant,
        g.schedule_id AS schedule_id,
        CAST(MAX(g.minutes) AS DOUBLE PRECISION) / 60 AS hours
      FROM gaps AS g
      GROUP BY
        g.tenant,
        g.schedule_id
    ), reads AS (
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
        v.valid_to AS valid_to,
        v.id AS id,
        CASE WHEN v.read_again_at > v.valid_from THEN v.read_again_at ELSE v.valid_from END AS last_read_at
      FROM versions AS v
    )
    SELECT
      d.tenant AS tenant,
      d.location AS location,
      d.object_type AS object_type,
      CASE WHEN k.hours > d.interval_hours THEN k.hours ELSE d.interval_hours END AS longest_interval_hours,
      d.valid_to AS valid_to,
      DATE_PART('epoch', d.last_read_at) + 30 * 86400 AS known_until
    FROM dated AS d
    LEFT JOIN longest AS k
      ON k.tenant = d.tenant AND k.schedule_id = d.id
  ) AS s
  WHERE
    s.valid_to IS NULL
  GROUP BY
    s.tenant,
    s.location,
    s.object_type
)
SELECT
  r.tenant AS tenant,
  r.location AS location,
  r.object_type AS object_type,
  CAST(r.good_backups AS BIGINT) AS good_backups,
  CAST(r.gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours,
  r.finish_time AS longest_gap_from,
  p.interval_hours AS promised_gap_hours,
  r.data_as_of AS data_as_of
FROM ranked AS r
LEFT JOIN promised AS p
  ON p.tenant = r.tenant
  AND p.object_type = r.object_type
  AND COALESCE(p.location, '') = COALESCE(r.location, '')
  AND p.known_until >= DATE_PART('epoch', r.data_as_of)
WHERE
  r.place = 1 AND r.good_backups > 0
