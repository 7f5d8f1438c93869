-- Parameter: the segment that the seal begins with.
SELECT max({time}) FROM {table} WHERE segment >= ?
