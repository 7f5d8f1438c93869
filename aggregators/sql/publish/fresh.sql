CREATE OR REPLACE TEMP TABLE fresh AS
SELECT * EXCLUDE (verdict) FROM decided WHERE verdict IN ('published', 'banded');

INSERT INTO counted BY NAME
SELECT
  '{measure}' AS measure, cube, grain, start, tier,
  count(*) FILTER (verdict = 'withheld') AS cells, count(*) FILTER (verdict = 'waits') AS waiting
FROM decided
GROUP BY ALL;
