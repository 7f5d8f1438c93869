-- A document of the operator that came in after its hour: the hours from which it is in force are looked at again.
INSERT INTO changed
SELECT 'window', hour
FROM (SELECT DISTINCT hour FROM route_rows UNION SELECT DISTINCT hour FROM inventory_rows) AS counted
WHERE hour >= $from_time;
