-- Hours into which no record fell, and of which gates' records now tell something else: where a series ends that turned
-- out to have ended, and where one had ended until its next record came.
INSERT INTO changed
WITH told AS (
  SELECT DISTINCT hour FROM changed WHERE basis = 'received'
),
in_hours AS (
  SELECT DISTINCT gate, date_trunc('hour', to_time) AS hour FROM gate_spans
),
after_another AS (
  SELECT hour, lag(hour) OVER (PARTITION BY gate ORDER BY hour) AS ended_before FROM in_hours
)
SELECT 'received', ended_before
FROM after_another
SEMI JOIN told USING (hour)
WHERE ended_before IS NOT NULL
UNION
-- What had ended by the records before all hours that changed had so when it was looked at last.
SELECT 'received', date_trunc('hour', to_time)
FROM (
  FROM ended_series('infinity'::TIMESTAMP)
  EXCEPT
  FROM ended_series((SELECT coalesce(min(hour), 'infinity'::TIMESTAMP) FROM told))
) AS ended_since;
