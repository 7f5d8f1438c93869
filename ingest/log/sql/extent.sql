-- One look at each end of a partition: the first offset held, and the one after the last.
SELECT
    coalesce((SELECT min("offset") FROM entries WHERE partition = :partition), 0),
    coalesce((SELECT max("offset") FROM entries WHERE partition = :partition), -1) + 1
