-- about = """\
--   Is something attacking? One row per tenant, location, service and UTC day with unusual activity, with a jump of \
--   failed objects, or both. A jump is at least 10 failed objects, and more than twice the mean of the 28 days with jobs \
--   before it. At least 7 such days are needed."""
-- key = ["tenant", "location", "object_type", "service", "day"]
--
-- [columns]
-- tenant = "text: Label of the tenant."
-- location = "text: Multi-Geo location; null where none was asked for."
-- object_type = "text: Service, such as sharepoint_online; null where the activity's service has no counterpart."
-- service = "text: Service without a counterpart, in the vendor's words; empty if unnamed; null where object_type is known."
-- day = "date, UTC day: Day of the activity, and of the finish of the jobs."
-- potential_ransomware_attacks = "bigint, sites: Sites that look attacked by ransomware."
-- unusual_activities = "bigint, sites: Sites with unusual activity."
-- failed_objects = "bigint, objects: Objects that failed in jobs of that day."
-- usual_failed_objects = "double, objects: Mean of the 28 days with jobs before; null for fewer than 7."
-- signals = "text: activity, failed_objects, or both."
WITH days AS (
    SELECT d.tenant, d.location, d.object_type, d.day, CAST(sum(d.failed_objects) AS DOUBLE) AS failed_objects
    FROM daily_summary AS d
    WHERE d.object_type IS NOT NULL
    GROUP BY d.tenant, d.location, d.object_type, d.day
),
compared AS (
    SELECT
        d.tenant,
        d.location,
        d.object_type,
        d.day,
        d.failed_objects,
        avg(d.failed_objects) OVER (
            PARTITION BY d.tenant, d.location, d.object_type ORDER BY d.day ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING
        ) AS mean_before,
        count(*) OVER (
            PARTITION BY d.tenant, d.location, d.object_type ORDER BY d.day ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING
        ) AS days_before
    FROM days AS d
),
jobs_of_day AS (
    SELECT
        c.tenant,
        c.location,
        c.object_type,
        c.day,
        c.failed_objects,
        CASE WHEN c.days_before >= 7 THEN c.mean_before END AS usual,
        CASE
            WHEN c.days_before >= 7 AND c.failed_objects >= 10 AND c.failed_objects > 2 * c.mean_before THEN 1
            ELSE 0
        END AS jump
    FROM compared AS c
),
activity AS (
    SELECT
        u.tenant,
        u.location,
        u.object_type,
        CASE WHEN u.object_type IS NULL THEN coalesce(u.service, '') END AS service,
        u.day,
        CAST(sum(coalesce(u.potential_ransomware_attack_count, 0)) AS BIGINT) AS attacks,
        CAST(sum(coalesce(u.unusual_activities_count, 0)) AS BIGINT) AS activities
    FROM unusual_activity AS u
    WHERE u.potential_ransomware_attack_count > 0 OR u.unusual_activities_count > 0
    GROUP BY
        u.tenant,
        u.location,
        u.object_type,
        CASE WHEN u.object_type IS NULL THEN coalesce(u.service, '') END,
        u.day
),
both_sides AS (
    SELECT a.tenant, a.location, a.object_type, a.service, a.day FROM activity AS a
    UNION
    SELECT j.tenant, j.location, j.object_type, CAST(NULL AS VARCHAR) AS service, j.day
    FROM jobs_of_day AS j
    WHERE j.jump = 1
)
SELECT
    b.tenant,
    b.location,
    b.object_type,
    b.service,
    b.day,
    coalesce(a.attacks, 0) AS potential_ransomware_attacks,
    coalesce(a.activities, 0) AS unusual_activities,
    CAST(coalesce(j.failed_objects, 0) AS BIGINT) AS failed_objects,
    j.usual AS usual_failed_objects,
    CASE
        WHEN a.tenant IS NOT NULL AND j.jump = 1 THEN 'both'
        WHEN a.tenant IS NOT NULL THEN 'activity'
        ELSE 'failed_objects'
    END AS signals
FROM both_sides AS b
LEFT JOIN activity AS a
    ON a.tenant = b.tenant
    AND a.day = b.day
    AND coalesce(a.object_type, '') = coalesce(b.object_type, '')
    AND coalesce(a.service, '') = coalesce(b.service, '')
    AND coalesce(a.location, '') = coalesce(b.location, '')
LEFT JOIN jobs_of_day AS j
    ON j.tenant = b.tenant
    AND j.day = b.day
    AND j.object_type = b.object_type
    AND coalesce(j.location, '') = coalesce(b.location, '')
