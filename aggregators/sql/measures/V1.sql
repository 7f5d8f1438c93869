-- measure: V1
-- title: Version parity
-- question: Which share of installations in use had the version that the manifest in force wanted, and did the device know?
-- asked by: analyst
-- basis: window
-- suppression: k
-- dimensions: model, region, hardware_tier, manifest_age
-- values: installations {installation}, on_wanted {installation}, agreeing {installation}
-- columns: installations {installation}, parity 1, agreement 1
-- primary: parity
-- cube:
-- cube: model
-- cube: model, region
-- cube: region
-- cube: hardware_tier
-- cube: manifest_age

-- cells
-- A region's own entries, even those of share 0, stand in place of those for "*".
WITH wanted_versions AS (
  SELECT model, region, in_force, until, coalesce(list(version) FILTER (share > 0), []) AS versions
  FROM wanted
  GROUP BY ALL
)
SELECT
  held.hour, held.tier, held.model, held.region, held.hardware_tier, held.manifest_age,
  held.first_of_{grain} AS installations,
  CASE WHEN list_contains(coalesce(own.versions, everywhere.versions, []), held.version)
    THEN held.first_of_{grain} ELSE 0 END AS on_wanted,
  CASE WHEN list_contains(coalesce(own.versions, everywhere.versions, []), held.wanted_version)
    THEN held.first_of_{grain} ELSE 0 END AS agreeing,
  held.device, held.key, held.key_{grain} AS key_first, held.report_{grain} AS report_first
FROM keyed_inventory_rows AS held
JOIN named_models AS named
  ON named.model = held.model AND held.hour >= named.in_force AND held.hour < named.until
LEFT JOIN wanted_versions AS own
  ON own.model = held.model AND own.region = held.region AND held.hour >= own.in_force AND held.hour < own.until
LEFT JOIN wanted_versions AS everywhere
  ON everywhere.model = held.model AND everywhere.region = '*'
  AND held.hour >= everywhere.in_force AND held.hour < everywhere.until
WHERE held.serving

-- answer
SELECT
  {asked}, installations, on_wanted / nullif(installations, 0) AS parity,
  agreeing / nullif(installations, 0) AS agreement
FROM cells
