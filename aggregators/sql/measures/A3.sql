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
-- A gate numbers its records without gaps, and repeats the number of a record whose append was not confirmed, with all
-- that it counted meanwhile: the one that ends last counts, wherever it lies, for a delayed first try may land behind
-- it. What is missing between two numbers is unknown, and so is, as one span, what followed the last record of a series
-- that ended without a final one; neither belongs to a tier. A record is kept for each second, so only those that tell
-- of `hours`, which are looked at, are compared with others.
WITH told AS (
  SELECT * FROM gate_outcomes SEMI JOIN hours ON hours.hour = gate_outcomes.received
),
touched AS (
  SELECT gate, sequence FROM told
  UNION
  SELECT gate, sequence FROM gate_spans SEMI JOIN hours ON hours.hour = date_trunc('hour', gate_spans.to_time)
),
newest AS (
  SELECT gate, sequence, max_by(place, (to_time, place)) AS place, max(to_time) AS to_time
  FROM gate_spans SEMI JOIN touched USING (gate, sequence)
  GROUP BY ALL
),
after_a_gap AS (
  SELECT gate, sequence, to_time
  FROM newest
  WHERE sequence > 0
    AND NOT EXISTS (SELECT 1 FROM gate_spans AS one WHERE one.gate = newest.gate AND one.sequence = newest.sequence - 1)
),
known AS (
  -- From when on nothing was let go of: from the first day that is kept, and once that is a month of them from the next
  -- one, for then older records of the same gates may be gone.
  SELECT date_trunc('day', min(to_time))
    + CASE WHEN max(to_time) - min(to_time) < INTERVAL 30 DAY THEN INTERVAL 0 DAY ELSE INTERVAL 1 DAY END AS since
  FROM gate_spans
),
counted AS (
  -- 0 and not left out, so that a cell that was published before the repetition came in goes down to it.
  SELECT
    told.received AS hour, told.tier, told.outcome,
    CASE WHEN told.place = newest.place THEN told.reports ELSE 0 END AS reports
  FROM told
  JOIN newest USING (gate, sequence)
  UNION ALL
  SELECT received, tier, 'stored', accepted FROM receipts WHERE accepted > 0
  UNION ALL
  SELECT received, tier, 'duplicate', duplicates FROM receipts WHERE duplicates > 0
  UNION ALL
  -- What is before the first number kept of a gate was let go of, or never came: it counts, from 0, unless nobody can
  -- tell any more.
  SELECT date_trunc('hour', after_a_gap.to_time), 'all', 'unknown_spans',
    after_a_gap.sequence - 1 - coalesce(before.sequence, -1)
  FROM after_a_gap
  ASOF LEFT JOIN gate_spans AS before ON before.gate = after_a_gap.gate AND before.sequence < after_a_gap.sequence
  WHERE before.sequence IS NOT NULL OR after_a_gap.to_time >= (SELECT since FROM known)
  UNION ALL
  -- Of a series whose beginning was let go of, the final record may have been as well, if a clock was set back.
  SELECT date_trunc('hour', to_time), 'all', 'unknown_spans', 1
  FROM ended_series('infinity'::TIMESTAMP)
  WHERE to_time >= (SELECT since FROM known) OR gate IN (SELECT gate FROM gate_spans WHERE sequence = 0)
  UNION ALL
  -- What was shown as unknown may have come: a gate that hung goes on. Then the cell goes down to what is left, or 0.
  SELECT DISTINCT start, 'all', 'unknown_spans', 0
  FROM cube_a3
  WHERE grain = '{grain}' AND unknown_spans > 0 AND start >= (SELECT since FROM known)
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
