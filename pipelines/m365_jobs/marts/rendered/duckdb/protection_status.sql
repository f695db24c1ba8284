CREATE OR REPLACE VIEW "m365_shipped_dataset"."protection_status" AS
WITH newest AS (
  SELECT
    a.tenant AS tenant,
    MAX(a.window_end) AS loaded_until
  FROM "m365_shipped_dataset"."load_audit" AS a
  GROUP BY
    a.tenant
), held AS (
  SELECT
    f.tenant AS tenant,
    f.location AS location,
    f.object_type AS object_type,
    COUNT(f.job_type) AS typed_jobs,
    COALESCE(
      MAX(CASE WHEN f.job_type = 'backup' THEN COALESCE(f.finish_time, f.start_time) END),
      CASE WHEN COUNT(f.job_type) = 0 THEN MAX(COALESCE(f.finish_time, f.start_time)) END
    ) AS last_backup,
    COALESCE(
      MAX(CASE WHEN f.job_type = 'backup' AND f.outcome = 'success' THEN f.finish_time END),
      MIN(f.finish_time)
    ) AS matters_from
  FROM (
    SELECT
      j.tenant AS tenant,
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
  GROUP BY
    f.tenant,
    f.location,
    f.object_type
), tenants AS (
  SELECT
    h.tenant AS tenant
  FROM held AS h
  UNION
  SELECT
    n.tenant AS tenant
  FROM newest AS n
), rules AS MATERIALIZED (
  SELECT
    r.tenant AS tenant,
    r.object_type AS object_type,
    r.expected AS expected,
    r.ignored AS ignored,
    r.allowed_age_hours AS allowed_age_hours
  FROM (
    WITH settings AS (
      SELECT
        'm365_shipped_settings' AS tenant
    )
    SELECT
      s.tenant AS tenant,
      s.object_type AS object_type,
      s.expected AS expected,
      s.ignored AS ignored,
      s.allowed_age_hours AS allowed_age_hours
    FROM settings AS s
  ) AS r
), named AS (
  SELECT DISTINCT
    r.tenant AS tenant
  FROM rules AS r
), rules_of AS (
  SELECT
    t.tenant AS tenant,
    r.object_type AS object_type,
    r.expected AS expected,
    r.ignored AS ignored,
    r.allowed_age_hours AS allowed_age_hours
  FROM tenants AS t
  LEFT JOIN named AS n
    ON n.tenant = t.tenant
  JOIN rules AS r
    ON r.tenant = COALESCE(n.tenant, '')
), first_schedules AS (
  SELECT
    s.tenant AS tenant,
    s.location AS location,
    MIN(s.valid_from) AS known_from
  FROM "m365_shipped_dataset"."backup_schedules" AS s
  GROUP BY
    s.tenant,
    s.location
), first_versions AS (
  SELECT
    s.tenant AS tenant,
    s.location AS location,
    s.object_type AS object_type,
    MIN(s.valid_from) AS scheduled_from
  FROM "m365_shipped_dataset"."backup_schedules" AS s
  WHERE
    NOT s.interval_hours IS NULL
  GROUP BY
    s.tenant,
    s.location,
    s.object_type
), schedules AS (
  SELECT
    s.tenant AS tenant,
    s.location AS location,
    s.object_type AS object_type,
    MAX(s.longest_interval_hours) AS interval_hours,
    MIN(v.scheduled_from) AS scheduled_from,
    MAX(CASE WHEN s.valid_from > f.known_from THEN s.valid_from END) AS changed_at
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
        CAST(MAX(g.minutes) AS DOUBLE) / 60 AS hours
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
      CASE WHEN k.hours > d.interval_hours THEN k.hours ELSE d.interval_hours END AS longest_interval_hours,
      d.valid_from AS valid_from,
      d.valid_to AS valid_to,
      EPOCH(d.last_read_at) + 30 * 86400 AS known_until
    FROM dated AS d
    LEFT JOIN longest AS k
      ON k.tenant = d.tenant AND k.schedule_id = d.id
  ) AS s
  JOIN newest AS n
    ON n.tenant = s.tenant AND EPOCH(n.loaded_until) <= s.known_until
  JOIN first_schedules AS f
    ON f.tenant = s.tenant AND COALESCE(f.location, '') = COALESCE(s.location, '')
  JOIN first_versions AS v
    ON v.tenant = s.tenant
    AND v.object_type = s.object_type
    AND COALESCE(v.location, '') = COALESCE(s.location, '')
  WHERE
    s.valid_to IS NULL AND NOT s.longest_interval_hours IS NULL
  GROUP BY
    s.tenant,
    s.location,
    s.object_type
), recently_held AS (
  SELECT
    h.tenant AS tenant,
    h.location AS location,
    h.object_type AS object_type
  FROM held AS h
  LEFT JOIN newest AS n
    ON n.tenant = h.tenant
  WHERE
    EPOCH(COALESCE(n.loaded_until, h.last_backup)) - EPOCH(h.last_backup) <= 30 * 86400
), asked AS (
  SELECT
    a.tenant AS tenant,
    a.location AS location,
    a.object_type AS object_type
  FROM "m365_shipped_dataset"."load_audit" AS a
  JOIN newest AS n
    ON n.tenant = a.tenant
  WHERE
    EPOCH(n.loaded_until) - EPOCH(a.window_end) <= 30 * 86400
  UNION
  SELECT
    h.tenant AS tenant,
    h.location AS location,
    h.object_type AS object_type
  FROM recently_held AS h
  WHERE
    NOT h.location IS NULL
), multi_geo AS (
  SELECT DISTINCT
    a.tenant AS tenant
  FROM asked AS a
  WHERE
    NOT a.location IS NULL
), expected AS (
  SELECT
    a.tenant AS tenant,
    a.location AS location,
    s.object_type AS object_type
  FROM asked AS a
  JOIN rules_of AS s
    ON s.tenant = a.tenant
  LEFT JOIN multi_geo AS g
    ON g.tenant = a.tenant
  WHERE
    s.expected = 1 AND (
      NOT a.location IS NULL OR g.tenant IS NULL
    )
  UNION
  SELECT
    c.tenant AS tenant,
    c.location AS location,
    c.object_type AS object_type
  FROM schedules AS c
  WHERE
    NOT c.location IS NULL
  UNION
  SELECT
    a.tenant AS tenant,
    a.location AS location,
    c.object_type AS object_type
  FROM asked AS a
  JOIN schedules AS c
    ON c.tenant = a.tenant AND c.location IS NULL
  LEFT JOIN multi_geo AS g
    ON g.tenant = a.tenant
  WHERE
    a.location IS NULL AND g.tenant IS NULL
  UNION
  SELECT
    h.tenant AS tenant,
    h.location AS location,
    h.object_type AS object_type
  FROM recently_held AS h
), latest AS MATERIALIZED (
  SELECT
    f.tenant AS tenant,
    f.location AS location,
    f.object_type AS object_type,
    f.id AS id,
    f.start_time AS start_time,
    f.finish_time AS finish_time,
    f.outcome AS outcome
  FROM held AS h
  JOIN (
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
    ON f.tenant = h.tenant
    AND f.object_type = h.object_type
    AND COALESCE(f.location, '') = COALESCE(h.location, '')
    AND f.finish_time >= h.matters_from
  WHERE
    f.job_type = 'backup'
), tolerated AS (
  SELECT
    t.tenant AS tenant,
    t.job_id AS job_id
  FROM latest AS l
  JOIN (
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
    ON t.tenant = l.tenant AND t.job_id = l.id
  WHERE
    l.outcome = 'warning' AND t.tolerated = 1
), recent AS (
  SELECT
    f.tenant AS tenant,
    f.location AS location,
    f.object_type AS object_type,
    f.finish_time AS finish_time,
    f.outcome AS outcome,
    CASE WHEN f.outcome = 'success' THEN 1 WHEN NOT t.job_id IS NULL THEN 1 ELSE 0 END AS succeeded,
    ROW_NUMBER() OVER (
      PARTITION BY f.tenant, f.location, f.object_type
      ORDER BY f.finish_time DESC, f.start_time DESC, f.id COLLATE "C" DESC
    ) AS place
  FROM latest AS f
  LEFT JOIN tolerated AS t
    ON t.tenant = f.tenant AND t.job_id = f.id
), history AS (
  SELECT
    r.tenant AS tenant,
    r.location AS location,
    r.object_type AS object_type,
    MAX(CASE WHEN r.succeeded = 1 THEN r.finish_time END) AS last_success_at,
    MAX(CASE WHEN r.place = 1 THEN r.outcome END) AS last_outcome,
    COALESCE(MIN(CASE WHEN r.succeeded = 1 THEN r.place END) - 1, COUNT(*)) AS consecutive_failures
  FROM recent AS r
  GROUP BY
    r.tenant,
    r.location,
    r.object_type
), running AS (
  SELECT
    o.tenant AS tenant,
    o.location AS location,
    o.object_type AS object_type,
    COUNT(*) AS open_jobs,
    MIN(o.hours_open) AS shortest_open
  FROM (
    WITH complete_loads AS MATERIALIZED (
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
    )
    SELECT
      f.tenant AS tenant,
      f.location AS location,
      f.object_type AS object_type,
      f.job_type AS job_type,
      (
        EPOCH(CASE WHEN p.data_as_of >= f.start_time THEN p.data_as_of ELSE f.fetched_at END) - EPOCH(f.start_time)
      ) / 3600 AS hours_open
    FROM (
      SELECT
        j.tenant AS tenant,
        j.location AS location,
        j.object_type AS object_type,
        j.job_type AS job_type,
        j.start_time AS start_time,
        j.finish_time AS finish_time,
        j.fetched_at AS fetched_at,
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
    LEFT JOIN complete_loads AS p
      ON p.tenant = f.tenant
      AND COALESCE(p.object_type, '') = COALESCE(f.object_type, '')
      AND COALESCE(p.location, '') = COALESCE(f.location, '')
    WHERE
      f.finish_time IS NULL AND f.outcome IN ('running', 'other')
  ) AS o
  WHERE
    o.job_type = 'backup'
  GROUP BY
    o.tenant,
    o.location,
    o.object_type
), joined AS (
  SELECT
    e.tenant AS tenant,
    e.location AS location,
    e.object_type AS object_type,
    y.last_success_at AS last_success_at,
    (
      EPOCH(d.data_as_of) - EPOCH(y.last_success_at)
    ) / 3600 AS hours_since_success,
    y.last_outcome AS last_outcome,
    COALESCE(y.consecutive_failures, 0) AS consecutive_failures,
    COALESCE(r.open_jobs, 0) AS open_jobs,
    d.data_as_of AS data_as_of,
    CASE
      WHEN h.object_type IS NULL AND NOT u.tenant IS NULL
      THEN 0
      ELSE h.typed_jobs
    END AS typed_jobs,
    h.last_backup AS last_backup_at,
    r.shortest_open AS shortest_open,
    s.ignored AS ignored,
    c.interval_hours AS scheduled_interval_hours,
    CASE WHEN EPOCH(d.data_as_of) - EPOCH(c.scheduled_from) < 86400 THEN 1 ELSE 0 END AS newly_scheduled,
    (
      EPOCH(d.data_as_of) - EPOCH(c.changed_at)
    ) / 3600 AS hours_since_change,
    CASE
      WHEN c.interval_hours IS NULL
      THEN CAST(s.allowed_age_hours AS DOUBLE)
      WHEN c.interval_hours * 1.5 >= s.allowed_age_hours
      THEN c.interval_hours * 1.5
      WHEN EPOCH(d.data_as_of) - EPOCH(c.changed_at) < c.interval_hours * 1.5 * 3600
      THEN CAST(s.allowed_age_hours AS DOUBLE)
      ELSE c.interval_hours * 1.5
    END AS allowed_age_hours
  FROM expected AS e
  JOIN rules_of AS s
    ON s.tenant = e.tenant AND s.object_type = e.object_type
  LEFT JOIN (
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
    ON d.tenant = e.tenant
    AND d.object_type = e.object_type
    AND COALESCE(d.location, '') = COALESCE(e.location, '')
  LEFT JOIN schedules AS c
    ON c.tenant = e.tenant
    AND c.object_type = e.object_type
    AND COALESCE(c.location, '') = COALESCE(e.location, '')
  LEFT JOIN held AS h
    ON h.tenant = e.tenant
    AND h.object_type = e.object_type
    AND COALESCE(h.location, '') = COALESCE(e.location, '')
  LEFT JOIN held AS u
    ON u.tenant = e.tenant
    AND u.object_type IS NULL
    AND COALESCE(u.location, '') = COALESCE(e.location, '')
  LEFT JOIN history AS y
    ON y.tenant = e.tenant
    AND y.object_type = e.object_type
    AND COALESCE(y.location, '') = COALESCE(e.location, '')
  LEFT JOIN running AS r
    ON r.tenant = e.tenant
    AND r.object_type = e.object_type
    AND COALESCE(r.location, '') = COALESCE(e.location, '')
), evaluated AS (
  SELECT
    j.tenant AS tenant,
    j.location AS location,
    j.object_type AS object_type,
    j.last_success_at AS last_success_at,
    j.hours_since_success AS hours_since_success,
    j.last_outcome AS last_outcome,
    j.consecutive_failures AS consecutive_failures,
    j.open_jobs AS open_jobs,
    j.data_as_of AS data_as_of,
    j.typed_jobs AS typed_jobs,
    j.last_backup_at AS last_backup_at,
    j.shortest_open AS shortest_open,
    j.ignored AS ignored,
    j.scheduled_interval_hours AS scheduled_interval_hours,
    j.newly_scheduled AS newly_scheduled,
    j.allowed_age_hours AS allowed_age_hours,
    CASE
      WHEN j.scheduled_interval_hours IS NULL
      THEN 0
      WHEN j.shortest_open < 48
      THEN 0
      WHEN (
        EPOCH(j.data_as_of) - EPOCH(j.last_backup_at)
      ) / 3600 <= j.allowed_age_hours
      THEN 0
      WHEN j.hours_since_change <= j.allowed_age_hours
      THEN 0
      ELSE 1
    END AS is_missed
  FROM joined AS j
)
SELECT
  g.tenant AS tenant,
  g.location AS location,
  g.object_type AS object_type,
  g.last_success_at AS last_success_at,
  g.hours_since_success AS hours_since_success,
  g.last_outcome AS last_outcome,
  g.consecutive_failures AS consecutive_failures,
  g.open_jobs AS open_jobs,
  CASE
    WHEN g.ignored = 1
    THEN 'ignored'
    WHEN g.data_as_of IS NULL OR g.typed_jobs = 0
    THEN 'unknown'
    WHEN g.consecutive_failures >= 2
    THEN 'failing'
    WHEN g.last_success_at IS NULL AND g.newly_scheduled = 1
    THEN 'onboarding'
    WHEN g.last_success_at IS NULL
    AND g.consecutive_failures = 0
    AND g.shortest_open < 14 * 24
    THEN 'onboarding'
    WHEN g.is_missed = 1
    THEN 'missed'
    WHEN g.last_success_at IS NULL
    THEN 'never'
    WHEN g.hours_since_success > g.allowed_age_hours AND g.shortest_open < 48
    THEN 'running_long'
    WHEN g.hours_since_success > g.allowed_age_hours
    THEN 'late'
    ELSE 'protected'
  END AS status,
  g.data_as_of AS data_as_of,
  g.last_backup_at AS last_backup_at,
  g.scheduled_interval_hours AS scheduled_interval_hours,
  g.allowed_age_hours AS allowed_age_hours
FROM evaluated AS g
