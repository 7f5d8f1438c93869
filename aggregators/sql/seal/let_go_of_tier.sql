-- Parameters: from when on rows of a tier are kept, and the tier.
DELETE FROM {table} WHERE {time} < ? AND tier = ?
