-- measure: V2
-- title: Stale and revoked models in use
-- question: Which stale and revoked models are still in use, and how long did removal take?
-- asked by: operator, analyst
-- basis: window
-- suppression: k
-- dimensions: model, status, removal, region
-- values: installations {installation}, tasks {task}
-- columns: installations {installation}, tasks {task}, share 1
-- primary: installations
-- cube: status; part serving
-- cube: model, status; part serving
-- cube: region, status; part serving
-- cube: removal; part removal

-- cells
WITH judged AS (
  SELECT
    held.*,
    CASE
      WHEN held.state = 'revoked' OR revoked.model IS NOT NULL THEN 'revoked'
      WHEN held.state = 'stale' THEN 'stale'
      ELSE 'current'
    END AS status
  FROM keyed_inventory_rows AS held
  LEFT JOIN revoked
    ON revoked.model = held.model AND revoked.version = held.version
    AND held.hour >= revoked.in_force AND held.hour < revoked.until
)
SELECT
  hour, tier, 'serving' AS part, model, status, '-' AS removal, region, first_of_{grain} AS installations, tasks,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM judged
WHERE serving
UNION ALL
SELECT
  hour, tier, 'removal', '-', status, removal, '-', first_of_{grain}, tasks,
  device, key, key_{grain}, report_{grain}
FROM judged
WHERE status = 'revoked'

-- answer
SELECT
  {asked}, installations, tasks,
  installations / nullif(sum(installations) OVER (PARTITION BY {within:status,removal}), 0) AS share
FROM cells
