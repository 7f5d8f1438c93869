-- measure: R4
-- title: Latency, retries and cold starts
-- question: How long did tasks take by route and region, with how many attempts and cold starts?
-- asked by: analyst
-- basis: window
-- suppression: k
-- dimensions: route, region, served_region, model
-- values: tasks {task}, attempts {attempt}, cold_starts {start}
-- histograms: latency ms, first_token ms
-- columns: tasks {task}, attempts_per_task 1, cold_starts {start}, latency_p50 ms, latency_p95 ms, latency_p99 ms, first_token_p50 ms, first_token_p95 ms, first_token_p99 ms, beyond none
-- primary: latency_p95
-- cube: route
-- cube: route, region
-- cube: route, served_region
-- cube: route, model

-- cells
SELECT
  hour, tier, actual_route AS route, region, served_region, model, tasks, attempts, cold_starts,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM keyed_route_rows

-- histograms
SELECT hour, tier, actual_route AS route, region, served_region, model, signal AS name, bucket, observations
FROM route_latency

-- answer
SELECT
  {asked}, tasks, attempts / nullif(tasks, 0) AS attempts_per_task, cold_starts,
  percentile(latency, 50) AS latency_p50, percentile(latency, 95) AS latency_p95, percentile(latency, 99) AS latency_p99,
  percentile(first_token, 50) AS first_token_p50, percentile(first_token, 95) AS first_token_p95,
  percentile(first_token, 99) AS first_token_p99,
  nullif(concat_ws(', ',
    past_range('latency_p50', latency, 50), past_range('latency_p95', latency, 95),
    past_range('latency_p99', latency, 99), past_range('first_token_p50', first_token, 50),
    past_range('first_token_p95', first_token, 95), past_range('first_token_p99', first_token, 99)
  ), '') AS beyond
FROM cells
