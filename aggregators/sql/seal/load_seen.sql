-- Parameters: the files, and the hour before which ids were let go of.
INSERT INTO seen BY NAME
SELECT * FROM read_parquet(?)
WHERE hour >= ?
