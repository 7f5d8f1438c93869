-- The cells of one cube beside what is published of them, and what happens to each.
INSERT INTO decided BY NAME
WITH cells AS (
  {cells}
),
compared AS (
  SELECT
    cells.*,
    {k} AS k,
    CASE WHEN shown.band IS NULL THEN shown.devices END AS shown_devices,
    shown.band IS NOT NULL AS band_shown,
    {differs} AS differs
  FROM cells
  LEFT JOIN {table} AS shown
    ON shown.cube = {cube} AND shown.grain = '{grain}' AND shown.start = cells.start AND shown.tier = cells.tier
    {same_place}
  LEFT JOIN tier_k AS tiers ON tiers.tier = cells.tier
),
judged AS (
  SELECT *, verdict(devices, k, shown_devices, differs, {banded}, band_shown) AS verdict FROM compared
)
SELECT
  $number AS publication, '{grain}' AS grain, start, {cube} AS cube, tier, {dimensions}
  {shown},
  CASE WHEN verdict = 'banded' THEN '1 to ' || (k - 1) END AS band,
  devices, verdict
FROM judged;
