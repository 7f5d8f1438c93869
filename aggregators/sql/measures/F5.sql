-- measure: F5
-- title: Time in fallback and the way back
-- question: How long did fallbacks last, and how did devices find back to the planned route?
-- asked by: operator, analyst
-- basis: window
-- suppression: k
-- dimensions: planned_route, actual_route, region
-- values: tasks {task}, seconds_in_fallback s, returns {return}, canary_returns {return}
-- histograms: return_time s
-- columns: tasks {task}, seconds_per_fallback s, returns {return}, canary_share 1, return_p50 s, return_p95 s, beyond none
-- primary: return_p95
-- cube:
-- cube: planned_route, actual_route
-- cube: region

-- cells
SELECT
  hour, tier, planned_route, actual_route, region, tasks, seconds_in_fallback, returns, canary_returns,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM keyed_fallback_rows

-- histograms
SELECT hour, tier, planned_route, actual_route, region, 'return_time' AS name, bucket, observations
FROM fallback_return

-- answer
SELECT
  {asked}, tasks, seconds_in_fallback / nullif(tasks, 0) AS seconds_per_fallback, returns,
  canary_returns / nullif(returns, 0) AS canary_share,
  percentile(return_time, 50) AS return_p50, percentile(return_time, 95) AS return_p95,
  nullif(concat_ws(', ',
    past_range('return_p50', return_time, 50), past_range('return_p95', return_time, 95)
  ), '') AS beyond
FROM cells
