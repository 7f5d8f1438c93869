-- `reports`: fallback_window reports that were counted for the first time; grouped as in route_window.sql.

INSERT INTO fallback_rows
WITH each AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day, rows_altered,
    unnest(rows) AS row
  FROM reports
),
in_report AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day,
    row.data_class, row.planned_route, row.actual_route, row.fallback_reason, row.consent, row.disclosed,
    sum(counted(row.tasks)) AS tasks, sum(counted(row.succeeded)) AS succeeded, sum(counted(row.degraded)) AS degraded,
    sum(counted(row.bytes_moved)) AS bytes_moved, sum(counted(row.seconds_in_fallback)) AS seconds_in_fallback,
    sum(counted(row.returns)) AS "returns", sum(counted(row.canary_returns)) AS canary_returns,
    bool_or(row.first_of_hour AND NOT rows_altered) AS key_hour,
    bool_or(row.first_of_day AND NOT rows_altered) AS key_day
  FROM each
  GROUP BY ALL
)
SELECT
  segment_now(), hour, tier, region, hardware_tier, device_id,
  data_class, planned_route, actual_route, fallback_reason, consent, disclosed,
  sum(tasks), sum(succeeded), sum(degraded), sum(bytes_moved), sum(seconds_in_fallback), sum("returns"),
  sum(canary_returns),
  count(*) FILTER (key_hour), count(*) FILTER (key_day),
  count(*) FILTER (first_of_hour), count(*) FILTER (first_of_day)
FROM in_report
GROUP BY ALL;

INSERT INTO fallback_return
WITH each AS (
  SELECT hour, tier, region, unnest(rows) AS row FROM reports
),
observed AS (
  SELECT hour, tier, region, row.planned_route, row.actual_route, unnest(buckets(row.return_time)) AS found FROM each
)
SELECT
  segment_now(), hour, tier, region, planned_route, actual_route, found.bucket AS bucket, sum(found.observations)
FROM observed
GROUP BY ALL;

INSERT INTO fallback_planned
WITH each AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day, planned_altered,
    unnest(planned) AS row
  FROM reports
),
in_report AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day, row.planned_route,
    sum(counted(row.tasks)) AS tasks,
    bool_or(row.first_of_hour AND NOT planned_altered) AS key_hour,
    bool_or(row.first_of_day AND NOT planned_altered) AS key_day
  FROM each
  GROUP BY ALL
)
SELECT
  segment_now(), hour, tier, region, hardware_tier, device_id, planned_route, sum(tasks),
  count(*) FILTER (key_hour), count(*) FILTER (key_day),
  count(*) FILTER (first_of_hour), count(*) FILTER (first_of_day)
FROM in_report
GROUP BY ALL;
