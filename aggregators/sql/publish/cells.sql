-- Every cell of one cube, and the lower bound of the distinct devices in it (docs/adr/0013-publication.md).
WITH by_key AS (
  SELECT {place}, key, {sums}, sum(key_first) AS key_first, sum(report_first) AS report_first
  FROM contributed
  WHERE {of_part}
  GROUP BY ALL
),
by_cell AS (
  SELECT {place}, {sums}, max(key_first) AS by_key_flags, max(report_first) AS by_report_flags
  FROM by_key
  GROUP BY ALL
),
by_pseudonym AS (
  SELECT {place}, count(DISTINCT device) AS pseudonyms
  FROM contributed
  WHERE {of_part}
  GROUP BY ALL
)
{buckets}
SELECT
  {place}, {values}, {histograms}
  greatest(pseudonyms, by_key_flags, by_report_flags)::BIGINT AS devices
FROM by_cell
JOIN by_pseudonym USING ({place})
{with_buckets}
