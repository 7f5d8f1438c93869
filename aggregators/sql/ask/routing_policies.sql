-- When each version of the routing policy first appears in a published cell, of those that did so within a span.
SELECT policy_version AS version, min(start) AS time
FROM cube_r2
WHERE cube = 'policy_version' AND policy_version NOT IN ('none', 'other')
GROUP BY ALL
HAVING min(start) >= $from_time AND min(start) < $to_time
ORDER BY time, version
