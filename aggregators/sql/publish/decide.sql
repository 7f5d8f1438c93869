-- Where the verdicts on all cells of one measure are collected.
CREATE OR REPLACE TEMP TABLE decided AS SELECT *, NULL::VARCHAR AS verdict FROM {table} LIMIT 0;
