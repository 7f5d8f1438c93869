-- measure: F3
-- title: Data moved across zone borders
-- question: How much data crossed which border between zones, as planned and by fallback?
-- asked by: auditor, analyst
-- basis: window
-- suppression: k
-- dimensions: kind, from_zone, to_zone, data_class, region
-- values: bytes By, tasks {task}
-- columns: bytes By, tasks {task}
-- primary: bytes
-- cube: kind, from_zone, to_zone
-- cube: kind, from_zone, to_zone, data_class
-- cube: kind, from_zone, to_zone, region

-- cells
SELECT
  hour, tier, 'planned' AS kind, 'device' AS from_zone, zone(actual_route) AS to_zone, data_class, region,
  bytes_sent AS bytes, tasks, device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM keyed_route_rows
WHERE planned_route = actual_route AND zone(actual_route) NOT IN ('device', 'none')
UNION ALL
SELECT
  hour, tier, 'fallback', zone(planned_route), zone(actual_route), data_class, region,
  bytes_moved, tasks, device, key, key_{grain}, report_{grain}
FROM keyed_fallback_rows
WHERE zone(planned_route) <> zone(actual_route) AND zone(actual_route) <> 'none'

-- answer
SELECT {asked}, bytes, tasks
FROM cells
