-- Every hour that the table has rows of is to be looked at for publication.
INSERT INTO changed
SELECT DISTINCT '{basis}', date_trunc('hour', {time})
FROM {table}
