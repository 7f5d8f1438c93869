-- From when to when a cube has any published cell.
SELECT min(start) AS first, max(start + CASE grain WHEN 'day' THEN INTERVAL 1 DAY ELSE INTERVAL 1 HOUR END) AS last
FROM {table}
WHERE cube = $cube
