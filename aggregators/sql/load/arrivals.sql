-- `arrivals`: every report of a batch that could be read: received, hour, tier, report, schema_version, policy_version,
-- id, duplicate.

INSERT INTO receipts
SELECT
  segment_now(), received, tier, report, schema_version, policy_version,
  count(*) FILTER (NOT duplicate), count(*) FILTER (duplicate)
FROM arrivals
GROUP BY ALL;

INSERT INTO seen
SELECT segment_now(), hour, id
FROM arrivals
WHERE NOT duplicate
ORDER BY hour;

-- Also where the hour is there already: a publication that is under way takes away what it saw, and must not take away
-- that the hour changed again.
INSERT INTO changed
SELECT DISTINCT 'window', hour FROM arrivals WHERE NOT duplicate
UNION ALL
SELECT DISTINCT 'received', received FROM arrivals;
