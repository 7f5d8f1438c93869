-- `reports`: route_window reports that were counted for the first time. Grouped twice: a report counts once in each
-- combination, however many of its rows are in it once the gate has coarsened them. So do the flags of those rows: a
-- device that flags equal rows twice is one device.

INSERT INTO route_rows
WITH each AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day, rows_altered,
    unnest(rows) AS row
  FROM reports
),
in_report AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day,
    row.data_class, row.task_kind, row.input_size, row.authority, row.device_approved,
    row.planned_route, row.actual_route, row.decision_reason, row."precision",
    row.served_region, row.model, row.model_version, row.policy_version,
    sum(counted(row.tasks)) AS tasks, sum(counted(row.attempts)) AS attempts,
    sum(counted(row.succeeded)) AS succeeded, sum(counted(row.refused)) AS refused,
    sum(counted(row.degraded)) AS degraded, sum(counted(row.offline)) AS offline,
    sum(counted(row.cold_starts)) AS cold_starts,
    sum(counted(row.contract_checked)) AS contract_checked, sum(counted(row.contract_valid)) AS contract_valid,
    sum(counted(row.citations_expected)) AS citations_expected,
    sum(counted(row.citations_present)) AS citations_present,
    sum(counted(row.tokens_in)) AS tokens_in, sum(counted(row.tokens_out)) AS tokens_out,
    sum(counted(row.bytes_sent)) AS bytes_sent,
    bool_or(row.first_of_hour AND NOT rows_altered) AS key_hour,
    bool_or(row.first_of_day AND NOT rows_altered) AS key_day
  FROM each
  GROUP BY ALL
)
SELECT
  segment_now(), hour, tier, region, hardware_tier, device_id,
  data_class, task_kind, input_size, authority, device_approved,
  planned_route, actual_route, decision_reason, "precision",
  served_region, model, model_version, policy_version,
  sum(tasks), sum(attempts), sum(succeeded), sum(refused), sum(degraded), sum(offline), sum(cold_starts),
  sum(contract_checked), sum(contract_valid), sum(citations_expected), sum(citations_present),
  sum(tokens_in), sum(tokens_out), sum(bytes_sent),
  count(*) FILTER (key_hour), count(*) FILTER (key_day),
  count(*) FILTER (first_of_hour), count(*) FILTER (first_of_day)
FROM in_report
GROUP BY ALL;

INSERT INTO route_latency
WITH each AS (
  SELECT hour, tier, region, unnest(rows) AS row FROM reports
),
observed AS (
  SELECT
    hour, tier, region, row.actual_route, row.served_region, row.model, row.model_version,
    'latency' AS signal, unnest(buckets(row.latency)) AS found
  FROM each
  UNION ALL
  SELECT
    hour, tier, region, row.actual_route, row.served_region, row.model, row.model_version,
    'first_token', unnest(buckets(row.first_token))
  FROM each
)
SELECT
  segment_now(), hour, tier, region, actual_route, served_region, model, model_version, signal,
  found.bucket AS bucket, sum(found.observations)
FROM observed
GROUP BY ALL;

INSERT INTO violation_rows
WITH each AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day, violations_altered,
    unnest(violations) AS row
  FROM reports
),
in_report AS (
  SELECT
    ordinal, hour, tier, region, hardware_tier, device_id, first_of_hour, first_of_day, row.rule,
    sum(counted(row.tasks)) AS tasks,
    bool_or(row.first_of_hour AND NOT violations_altered) AS key_hour,
    bool_or(row.first_of_day AND NOT violations_altered) AS key_day
  FROM each
  GROUP BY ALL
)
SELECT
  segment_now(), hour, tier, region, hardware_tier, device_id, rule, sum(tasks),
  count(*) FILTER (key_hour), count(*) FILTER (key_day),
  count(*) FILTER (first_of_hour), count(*) FILTER (first_of_day)
FROM in_report
GROUP BY ALL;
