CREATE OR REPLACE VIEW "m365_shipped_dataset"."current_retention_policies" AS
SELECT
  r.tenant,
  r.location,
  r.level,
  r.service_type,
  r.service,
  r.object_type,
  r.container_id,
  r.container_name,
  r.retention_period,
  r.retention_days,
  r.daily_retention_enabled,
  r.custom_retention_enabled,
  r.valid_from
FROM "m365_shipped_dataset"."retention_policies" AS r
WHERE
  r.valid_to IS NULL
