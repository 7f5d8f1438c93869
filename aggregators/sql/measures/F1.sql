-- measure: F1
-- title: Fallback rate
-- question: How often did a planned route fall back to which, and why?
-- asked by: analyst
-- basis: window
-- suppression: k
-- dimensions: planned_route, actual_route, fallback_reason, region
-- values: fallbacks {task}, planned {task}
-- columns: fallbacks {task}, planned {task}, rate 1
-- primary: rate
-- cube:
-- cube: planned_route
-- cube: region
-- cube: planned_route, region
-- cube: planned_route, actual_route
-- cube: planned_route, actual_route, fallback_reason
-- cube: fallback_reason
-- cube: fallback_reason, region

-- cells
SELECT
  hour, tier, planned_route, actual_route, fallback_reason, region, tasks AS fallbacks, 0 AS planned,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM fallbacks
UNION ALL
-- The base of the rate has no actual route and no reason; it stands in cells of its own where those are asked.
SELECT
  hour, tier, planned_route, '(planned)', '(planned)', region, 0, tasks,
  device, key, key_{grain}, report_{grain}
FROM keyed_fallback_planned

-- answer
SELECT * FROM (
  SELECT
    {asked}, fallbacks, sum(planned) OVER (PARTITION BY {within:actual_route,fallback_reason})::BIGINT AS planned,
    fallbacks / nullif(sum(planned) OVER (PARTITION BY {within:actual_route,fallback_reason}), 0) AS rate
  FROM cells
) AS answered
WHERE concat_ws(' ', {asked}) NOT LIKE '%(planned)%'
