-- DuckDB's MERGE, for the partition may have had no record that was applied; what it had keeps its time of receipt.
MERGE INTO offsets USING (SELECT $topic AS topic, $partition AS number, $last AS last) AS gap
ON offsets.topic = gap.topic AND offsets.partition = gap.number
WHEN MATCHED THEN UPDATE SET last = gap.last
WHEN NOT MATCHED THEN INSERT VALUES (gap.topic, gap.number, gap.last, NULL)
