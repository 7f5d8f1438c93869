-- One look at the end of each partition, where GROUP BY would read the whole table.
SELECT
    topic,
    number,
    id,
    coalesce((SELECT max("offset") FROM entries WHERE entries.partition = partitions.id), -1)
FROM partitions
