-- When each version of each tier's policy first appears in what the gates stored, of those that did so within a span.
SELECT tier, policy_version AS version, min(received) AS time
FROM receipts
WHERE policy_version IS NOT NULL
GROUP BY ALL
HAVING min(received) >= $from_time AND min(received) < $to_time
ORDER BY time, tier, version
