-- Every span that a measure has anything in.
CREATE OR REPLACE TEMP TABLE looked AS
SELECT DISTINCT '{basis}' AS basis, '{grain}' AS grain, date_trunc('{grain}', hour) AS start
FROM (
  {cells}
) AS cells;
