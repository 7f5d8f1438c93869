-- Days whose hourly cells are newer than their daily ones, or that have none yet: days that are not over.
SELECT time_bucket(INTERVAL 1 DAY, start) AS day
FROM {table}
WHERE cube = $cube AND start >= $from_time AND start < $to_time
GROUP BY day
HAVING max(publication) FILTER (grain = 'hour') > coalesce(max(publication) FILTER (grain = 'day'), -1)
