-- What stands in the files of one name of several publications; the folder of a file is the number of its publication.
-- The file of an older measure may lack columns: those are NULL.
CREATE OR REPLACE TEMP TABLE {table} AS
SELECT * EXCLUDE (filename), parse_path(filename)[-2]::INTEGER AS number
FROM read_parquet($files, union_by_name := true, filename := true);
