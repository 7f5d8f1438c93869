-- The publication in which a cell of a cube over a span last changed.
SELECT max(publication) AS publication FROM {table} WHERE cube = $cube AND start >= $from_time AND start < $to_time
