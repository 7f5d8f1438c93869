-- measure: F4
-- title: Success after fallback
-- question: How did fallbacks end: with a usable result, degraded, disclosed or not?
-- asked by: analyst
-- basis: window
-- suppression: k
-- dimensions: planned_route, actual_route, disclosed, fallback_reason
-- values: tasks {task}, succeeded {task}, degraded {task}
-- columns: tasks {task}, success_rate 1, degraded_rate 1
-- primary: success_rate
-- cube:
-- cube: actual_route
-- cube: planned_route, actual_route
-- cube: disclosed
-- cube: fallback_reason

-- cells
SELECT
  hour, tier, planned_route, actual_route, disclosed, fallback_reason, tasks, succeeded, degraded,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM fallbacks

-- answer
SELECT {asked}, tasks, succeeded / nullif(tasks, 0) AS success_rate, degraded / nullif(tasks, 0) AS degraded_rate
FROM cells
