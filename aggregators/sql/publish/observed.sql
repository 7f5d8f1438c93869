-- The histograms of one measure over the spans looked at, at one grain.
CREATE OR REPLACE TEMP TABLE observed AS
WITH hours AS (
  SELECT unnest(range(start, start + INTERVAL 1 {grain}, INTERVAL 1 HOUR)) AS hour
  FROM looked
  WHERE basis = '{basis}' AND grain = '{grain}'
)
SELECT date_trunc('{grain}', hour) AS start, tier, {part} AS part, {dimensions}, name, bucket, observations
FROM (
  {observations}
) AS observations
SEMI JOIN hours USING (hour);
