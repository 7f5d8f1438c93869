-- measure: R3
-- title: Failed closed
-- question: How many tasks were refused because no permitted route was open?
-- asked by: analyst, auditor
-- basis: window
-- suppression: k
-- dimensions: planned_route, data_class, region, task_kind
-- values: refused {task}, tasks {task}
-- columns: refused {task}, tasks {task}, rate 1
-- primary: rate
-- cube:
-- cube: planned_route
-- cube: data_class
-- cube: region
-- cube: task_kind
-- cube: planned_route, data_class

-- cells
SELECT
  hour, tier, planned_route, data_class, region, task_kind, refused, tasks,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM keyed_route_rows

-- answer
SELECT {asked}, refused, tasks, refused / nullif(tasks, 0) AS rate
FROM cells
