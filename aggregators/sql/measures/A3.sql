-- measure: A3
-- title: Every report accounted for
-- question: Is what was received what was accepted, a duplicate, refused for a reason, or in doubt?
-- asked by: auditor, operator
-- basis: received
-- suppression: none, because these are counts of requests at the gate and not of devices
-- dimensions: outcome
-- values: reports {report}, received {report}, accepted_at_gate {report}, stored {report}, duplicate {report}, rejected {report}, in_doubt {report}, unknown_spans {span}
-- columns: reports {report}, received {report}, accepted {report}, duplicate {report}, rejected {report}, in_doubt {report}, unaccounted {report}, unknown_spans {span}
-- primary: received
-- cube:
-- cube: outcome

-- cells
-- A gate numbers its records without gaps, and repeats the number of a record whose append was not confirmed: the one
-- with the greatest place counts. What is missing between two numbers is unknown, and belongs to no tier.
WITH newest AS (
  SELECT gate, sequence, max(place) AS place, max_by(to_time, place) AS to_time FROM gate_spans GROUP BY ALL
),
counted AS (
  -- 0 and not left out, so that a cell that was published before the repetition came in goes down to it.
  SELECT
    outcomes.received AS hour, outcomes.tier, outcomes.outcome,
    CASE WHEN outcomes.place = newest.place THEN outcomes.reports ELSE 0 END AS reports
  FROM gate_outcomes AS outcomes
  JOIN newest USING (gate, sequence)
  UNION ALL
  SELECT received, tier, 'stored', accepted FROM receipts WHERE accepted > 0
  UNION ALL
  SELECT received, tier, 'duplicate', duplicates FROM receipts WHERE duplicates > 0
  UNION ALL
  SELECT date_trunc('hour', to_time), 'all', 'unknown_spans', missing
  FROM (
    SELECT to_time, sequence - 1 - lag(sequence, 1, -1) OVER (PARTITION BY gate ORDER BY sequence) AS missing
    FROM newest
  ) AS gaps
  WHERE missing > 0
)
SELECT
  hour, tier, outcome, reports,
  CASE WHEN outcome = 'received' THEN reports ELSE 0 END AS received,
  CASE WHEN outcome = 'accepted' THEN reports ELSE 0 END AS accepted_at_gate,
  CASE WHEN outcome = 'stored' THEN reports ELSE 0 END AS stored,
  CASE WHEN outcome = 'duplicate' THEN reports ELSE 0 END AS duplicate,
  CASE WHEN outcome NOT IN ('received', 'accepted', 'stored', 'duplicate', 'in_doubt', 'unknown_spans')
    THEN reports ELSE 0 END AS rejected,
  CASE WHEN outcome = 'in_doubt' THEN reports ELSE 0 END AS in_doubt,
  CASE WHEN outcome = 'unknown_spans' THEN reports ELSE 0 END AS unknown_spans,
  NULL::VARCHAR AS device, ['gate'] AS key, 0 AS key_first, 0 AS report_first
FROM counted

-- answer
SELECT
  {asked}, received, stored AS accepted, duplicate, rejected, in_doubt,
  received - accepted_at_gate - rejected - in_doubt AS unaccounted, unknown_spans
FROM cells

-- answer of: outcome; primary reports
SELECT {asked}, reports
FROM cells
