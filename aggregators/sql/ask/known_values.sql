-- Every value of one dimension that a published cell of a cube has.
SELECT DISTINCT {dimension} AS value FROM {table} WHERE cube = $cube AND {dimension} IS NOT NULL ORDER BY value LIMIT 1000
