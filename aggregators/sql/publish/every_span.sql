-- Every span that a measure has anything in.
CREATE OR REPLACE TEMP TABLE looked AS
WITH hours AS (
  SELECT received AS hour FROM gate_outcomes UNION SELECT date_trunc('hour', to_time) FROM gate_spans
)
SELECT DISTINCT '{basis}' AS basis, '{grain}' AS grain, date_trunc('{grain}', hour) AS start
FROM (
  {cells}
) AS cells;
