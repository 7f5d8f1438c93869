WITH totals AS (
    SELECT
        partition,
        count(*)           AS entries,
        sum(length(value)) AS value_bytes,
        min("offset")      AS first_offset,
        max("offset")      AS last_offset
    FROM entries
    GROUP BY partition
)
SELECT
    partitions.topic,
    partitions.number,
    totals.entries,
    totals.value_bytes,
    totals.first_offset,
    totals.last_offset,
    (SELECT "timestamp" FROM entries WHERE partition = totals.partition AND "offset" = totals.first_offset),
    (SELECT "timestamp" FROM entries WHERE partition = totals.partition AND "offset" = totals.last_offset)
FROM totals
JOIN partitions ON partitions.id = totals.partition
ORDER BY partitions.topic, partitions.number
