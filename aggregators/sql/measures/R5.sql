-- measure: R5
-- title: Cost by route and model
-- question: What did tasks cost, by the prices in force at their hour?
-- asked by: analyst
-- basis: window
-- suppression: k
-- dimensions: route, model, region
-- values: tasks {task}, tokens_in {token}, tokens_out {token}, cost 1e-12 {currency}, unpriced_tasks {task}
-- columns: tasks {task}, tokens_in {token}, tokens_out {token}, cost {currency}, cost_per_1000_tasks {currency}, unpriced_tasks {task}, currency none
-- primary: cost
-- cube: route
-- cube: model
-- cube: route, model
-- cube: route, region

-- cells
-- One row of prices at most matches each join: operator_tables.py keeps one price per route, model and document.
SELECT
  worked.hour, worked.tier, worked.actual_route AS route, worked.model, worked.region,
  worked.tasks, worked.tokens_in, worked.tokens_out,
  coalesce(worked.tokens_in, 0)::HUGEINT * coalesce(exact.input_micro, general.input_micro, 0)
    + coalesce(worked.tokens_out, 0)::HUGEINT * coalesce(exact.output_micro, general.output_micro, 0) AS cost,
  CASE WHEN exact.route IS NULL AND general.route IS NULL THEN worked.tasks ELSE 0 END AS unpriced_tasks,
  worked.device, worked.key, worked.key_{grain} AS key_first, worked.report_{grain} AS report_first
FROM keyed_route_rows AS worked
LEFT JOIN prices AS exact
  ON exact.route = worked.actual_route AND exact.model = worked.model
  AND worked.hour >= exact.in_force AND worked.hour < exact.until
LEFT JOIN prices AS general
  ON general.route = worked.actual_route AND general.model = '*'
  AND worked.hour >= general.in_force AND worked.hour < general.until

-- answer
-- More than one currency can only stand here where the operator changed it; the sum then mixes them, and says so.
SELECT
  {asked}, tasks, tokens_in, tokens_out, cost / 1e12 AS cost, cost / 1e9 / nullif(tasks, 0) AS cost_per_1000_tasks,
  unpriced_tasks, (SELECT string_agg(DISTINCT currency, ', ' ORDER BY currency) FROM prices) AS currency
FROM cells
