-- Parameter: from when on rows are kept.
DELETE FROM {table} WHERE {time} < ?
