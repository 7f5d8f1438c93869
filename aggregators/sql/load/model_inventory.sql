-- `reports`: model_inventory reports that were counted for the first time; grouped as in route_window.sql.

INSERT INTO inventory_rows
WITH each AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, manifest_age, first_of_hour, first_of_day, rows_altered,
    unnest(rows) AS row
  FROM reports
),
in_report AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, manifest_age, first_of_hour, first_of_day,
    row.model, row.version, row.digest, row."precision", row.runtime,
    row.state, row.removal, row.wanted_version, row.serving,
    sum(counted(row.tasks)) AS tasks, sum(counted(row.fallbacks)) AS fallbacks, sum(counted(row.crashes)) AS crashes,
    sum(counted(row.downloads)) AS downloads, sum(counted(row.signature_failures)) AS signature_failures,
    sum(counted(row.checksum_failures)) AS checksum_failures,
    sum(counted(row.bytes_downloaded)) AS bytes_downloaded, sum(counted(row.bytes_wasted)) AS bytes_wasted,
    count(*) FILTER (row.first_of_hour) AS rows_hour, count(*) FILTER (row.first_of_day) AS rows_day,
    bool_or(row.first_of_hour AND NOT rows_altered) AS key_hour,
    bool_or(row.first_of_day AND NOT rows_altered) AS key_day
  FROM each
  GROUP BY ALL
)
SELECT
  segment_now(), hour, tier, region, hardware_tier, device_id, manifest_age,
  model, version, digest, "precision", runtime, state, removal, wanted_version, serving,
  sum(tasks), sum(fallbacks), sum(crashes), sum(downloads), sum(signature_failures), sum(checksum_failures),
  sum(bytes_downloaded), sum(bytes_wasted), sum(rows_hour), sum(rows_day),
  count(*) FILTER (key_hour), count(*) FILTER (key_day),
  count(*) FILTER (first_of_hour), count(*) FILTER (first_of_day)
FROM in_report
GROUP BY ALL;
