-- When each version of the routing policy first appears in a published cell, of those that did so within a span. A day's
-- cell begins at midnight whatever hour it was; it counts only where no hour of that day has a cell of the version.
SELECT policy_version AS version, min(start) AS time
FROM cube_r2 AS seen
WHERE cube = 'policy_version' AND policy_version NOT IN ('none', 'other') AND (
  grain = 'hour' OR NOT EXISTS (
    SELECT 1
    FROM cube_r2 AS hours
    WHERE hours.cube = seen.cube AND hours.policy_version = seen.policy_version AND hours.grain = 'hour'
      AND time_bucket(INTERVAL 1 DAY, hours.start) = seen.start
  )
)
GROUP BY ALL
HAVING min(start) >= $from_time AND min(start) < $to_time
ORDER BY time, version
