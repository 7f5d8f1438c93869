-- measure: R2
-- title: Decisions by reason and routing policy
-- question: Why were routes chosen, by reason and by version of the routing policy?
-- asked by: analyst
-- basis: window
-- suppression: k
-- dimensions: decision_reason, policy_version, route
-- values: tasks {task}
-- columns: tasks {task}, share 1
-- primary: share
-- cube: decision_reason
-- cube: policy_version
-- cube: decision_reason, policy_version
-- cube: decision_reason, route

-- cells
SELECT
  hour, tier, decision_reason, policy_version, actual_route AS route, tasks,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM keyed_route_rows

-- answer
-- The share of a cell in all tasks of its span and tier.
SELECT
  {asked}, tasks,
  tasks / nullif(sum(tasks) OVER (PARTITION BY {within:decision_reason,policy_version,route}), 0) AS share
FROM cells
