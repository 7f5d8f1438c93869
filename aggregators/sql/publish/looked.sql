-- The spans to look at: hours that changed, those still open as well where no $closed_to is given; and their days, but
-- never one that is not over: cells of its first hours would be published, wait for k more devices, and pass for the day.
CREATE OR REPLACE TEMP TABLE looked AS
WITH replaced AS (
  -- A gate's record may stand in place of one of the same number that was appended since the span began of which it
  -- tells, so those hours changed as well.
  SELECT 'received' AS basis, unnest(range(
    date_trunc('hour', spans.from_time), outcomes.received, INTERVAL 1 HOUR
  )) AS hour
  FROM (
    SELECT DISTINCT gate, sequence, place, received
    FROM gate_outcomes
    SEMI JOIN (SELECT hour FROM changed WHERE basis = 'received') AS hours ON hours.hour = gate_outcomes.received
  ) AS outcomes
  JOIN gate_spans AS spans USING (gate, sequence, place)
  WHERE spans.from_time < outcomes.received
),
hours AS (
  SELECT basis, hour FROM changed
  UNION
  SELECT basis, hour FROM replaced WHERE hour IN (SELECT received FROM gate_outcomes)
),
days AS (
  SELECT basis, date_trunc('day', hour) AS day FROM hours
  UNION
  SELECT basis, day FROM changed_days
)
SELECT basis, 'hour' AS grain, hour AS start FROM hours WHERE hour + INTERVAL 1 HOUR <= coalesce($closed_to::TIMESTAMP, TIMESTAMP 'infinity')
UNION ALL
SELECT basis, 'day', day FROM days WHERE day + INTERVAL 1 DAY <= least($complete_to::TIMESTAMP, coalesce($closed_to::TIMESTAMP, TIMESTAMP 'infinity'));
