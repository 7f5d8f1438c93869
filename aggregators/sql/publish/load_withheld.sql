-- What was held back in a span when it was looked at last: what earlier publications counted there is forgotten.
INSERT INTO withheld BY NAME
SELECT measure, cube, counted.grain, counted.start, tier, cells, waiting
FROM counted
JOIN (VALUES {bases}) AS measures (measure, basis) USING (measure)
JOIN (SELECT basis, grain, start, max(number) AS number FROM looked GROUP BY ALL) AS newest
  USING (basis, grain, start, number)
WHERE counted.cells + counted.waiting > 0;
