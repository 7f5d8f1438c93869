-- Puts the cells of one measure that are fresh into its table, in place of those that they follow.
DELETE FROM {table} AS shown USING fresh
WHERE shown.cube = fresh.cube AND shown.grain = fresh.grain AND shown.start = fresh.start AND shown.tier = fresh.tier
  {same_place};

INSERT INTO {table} BY NAME SELECT * FROM fresh;

DELETE FROM withheld USING looked
WHERE withheld.measure = '{measure}' AND looked.basis = '{basis}' AND looked.grain = withheld.grain
  AND looked.start = withheld.start;
