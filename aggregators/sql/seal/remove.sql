-- The rows that a seal has merged. Parameter: the segment that the seal begins with.
DELETE FROM {table} WHERE segment >= ?
