-- Everything that one measure adds up over the spans looked at, at one grain; keys as numbers, which group faster.
CREATE OR REPLACE TEMP TABLE contributed AS
WITH hours AS (
  SELECT unnest(range(start, start + INTERVAL 1 {grain}, INTERVAL 1 HOUR)) AS hour
  FROM looked
  WHERE basis = '{basis}' AND grain = '{grain}'
),
given AS MATERIALIZED (
  SELECT * FROM (
    {cells}
  ) AS cells
  SEMI JOIN hours USING (hour)
),
numbered AS (SELECT key, row_number() OVER () AS number FROM (SELECT DISTINCT key FROM given) AS keys)
SELECT
  date_trunc('{grain}', hour) AS start, tier, {part} AS part, {dimensions}, {values},
  device, numbered.number AS key, coalesce(key_first, 0) AS key_first, coalesce(report_first, 0) AS report_first
FROM given
JOIN numbered USING (key);
