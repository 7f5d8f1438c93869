SELECT "offset"
FROM entries
WHERE partition = :partition
ORDER BY "offset" DESC
LIMIT 1 OFFSET :entries
