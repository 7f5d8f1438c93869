-- One publication, the newest without a number.
SELECT number, "at", complete_to
FROM publications
WHERE number = coalesce($number, (SELECT max(number) FROM publications))
