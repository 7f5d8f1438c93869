-- `outcomes`: records of gates' outcomes: place, received, gate_id, sequence, from_time, to_time, final, counts.

INSERT INTO gate_spans
SELECT segment_now(), gate_id, sequence, place, from_time, to_time, final FROM outcomes;

INSERT INTO gate_outcomes
WITH each AS (
  SELECT gate_id, sequence, place, received, unnest(counts) AS counted FROM outcomes
)
SELECT segment_now(), gate_id, sequence, place, received, counted.tier, counted.outcome, counted."count" FROM each;

-- A record at the turn of an hour may tell of the one before.
INSERT INTO changed
SELECT 'received', received FROM outcomes
UNION
SELECT 'received', date_trunc('hour', to_time) FROM outcomes;
