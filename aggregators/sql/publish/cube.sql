-- The published cells of one measure. cube: the dimensions, joined by ", "; a dimension that the cube does not have is
-- NULL. band: what a banded cube shows of a cell of too few devices, whose values are NULL. devices: the lower bound
-- that the cell was published with; the rule for late data needs it, and no answer ever has it.
CREATE TABLE IF NOT EXISTS {table} (
  publication INTEGER NOT NULL, grain VARCHAR NOT NULL, start TIMESTAMP NOT NULL, cube VARCHAR NOT NULL,
  tier VARCHAR NOT NULL, {columns}, band VARCHAR, devices BIGINT NOT NULL
);
