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

-- each
-- The base may be withheld for one hour and tier and shown for another. A rate is made of those that show theirs: other
-- fallbacks would count without the tasks that they are a part of.
CASE
  WHEN (actual_route IS NULL AND fallback_reason IS NULL)
    OR bool_or('(planned)' IN (actual_route, fallback_reason)) OVER (
      PARTITION BY cell.grain, cell.start, cell.tier, planned_route, region
    )
  THEN fallbacks
END AS of_base,
CASE
  WHEN (actual_route IS NULL AND fallback_reason IS NULL) OR '(planned)' IN (actual_route, fallback_reason) THEN planned
END AS base

-- answer
SELECT {asked}, fallbacks, planned, of_base / nullif(planned, 0) AS rate
FROM (
  SELECT
    {asked}, fallbacks, of_base, sum(base) OVER (PARTITION BY {within:actual_route,fallback_reason}) AS planned
  FROM cells
) AS answered
WHERE concat_ws(' ', {asked}) NOT LIKE '%(planned)%'
