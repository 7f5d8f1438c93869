-- The published cells of one cube over a span, added up over tiers and time as far as was asked, then read by the
-- measure's own query. Filters stand behind that query, for a share needs the cells that are filtered away.
WITH chosen AS (
  SELECT {start} AS "start", {stored} {each}
  FROM {table} AS cell
  WHERE cube = $cube AND ({spans})
),
added AS (
  SELECT
    {asked}, {sums},
    -- A cell of too few devices says so in place of its values; of several together only the least can be said.
    CASE
      WHEN count(band) = 0 THEN NULL
      WHEN count(*) = 1 THEN any_value(band)
      ELSE (coalesce(sum({counted}), 0) + count(band))::VARCHAR || ' or more'
    END AS band
  FROM chosen
  GROUP BY {asked}
),
{histograms}
cells AS (
  SELECT added.* {added_histograms}
  FROM added {joins}
)
SELECT *
FROM (
{answer}
) AS answered
WHERE {wanted}
ORDER BY {asked}
LIMIT $at_most OFFSET $position
