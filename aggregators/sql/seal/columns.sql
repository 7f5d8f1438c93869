-- What is sealed: every table whose rows say which segment they belong to.
SELECT table_name, column_name, data_type
FROM duckdb_columns()
WHERE table_name <> 'about'
  AND NOT internal
  AND table_name IN (SELECT table_name FROM duckdb_columns() WHERE column_name = 'segment')
ORDER BY table_name, column_index
