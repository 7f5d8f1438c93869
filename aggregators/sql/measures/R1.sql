-- measure: R1
-- title: Route distribution
-- question: Which share of tasks ran on which route?
-- asked by: analyst
-- basis: window
-- suppression: k
-- dimensions: route, region, data_class, task_kind, hardware_tier, model
-- values: tasks {task}
-- columns: tasks {task}, share 1
-- primary: share
-- cube: route
-- cube: route, region
-- cube: route, data_class
-- cube: route, task_kind
-- cube: route, hardware_tier
-- cube: route, model
-- cube: route, region, data_class

-- cells
SELECT
  hour, tier, actual_route AS route, region, data_class, task_kind, hardware_tier, model, tasks,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM keyed_route_rows

-- answer
SELECT {asked}, tasks, tasks / nullif(sum(tasks) OVER (PARTITION BY {within:route}), 0) AS share
FROM cells
