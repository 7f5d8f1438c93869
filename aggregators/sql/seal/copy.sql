-- One file of a seal: the rows since the segment that it begins with, one for each combination of dimensions. Sorted, so
-- that equal rows make an equal file and nothing in it tells in which order reports came.
COPY (
    SELECT {columns}
    FROM {table}
    WHERE segment >= {since}
    GROUP BY ALL
    ORDER BY ALL
) TO {file} (FORMAT parquet, COMPRESSION zstd)
