-- Of each cell what the newest publication says.
CREATE OR REPLACE TEMP TABLE fresh AS
SELECT * EXCLUDE (number)
FROM loaded
QUALIFY row_number() OVER (PARTITION BY cube, grain, start, tier{dimensions} ORDER BY number DESC) = 1;
