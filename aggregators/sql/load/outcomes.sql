-- `outcomes`: records of gates' outcomes: place, received, gate_id, sequence, from_time, to_time, final, counts.

INSERT INTO gate_spans
SELECT segment_now(), gate_id, sequence, place, from_time, to_time, final FROM outcomes;

INSERT INTO gate_outcomes
WITH each AS (
  SELECT gate_id, sequence, place, received, unnest(counts) AS counted FROM outcomes
)
SELECT segment_now(), gate_id, sequence, place, received, counted.tier, counted.outcome, counted."count" FROM each;

INSERT INTO changed
SELECT DISTINCT 'received', received FROM outcomes;
