SELECT "offset", "key", value, "timestamp", headers, checksum
FROM entries
WHERE partition = :partition AND "offset" > :after
ORDER BY "offset"
LIMIT :limit
