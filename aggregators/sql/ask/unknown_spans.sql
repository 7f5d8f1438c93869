-- What gates did not tell over a range; of no tier, so whatever tiers were asked.
SELECT coalesce(sum(unknown_spans), 0)::BIGINT AS spans
FROM {table}
WHERE cube = '' AND grain = 'hour' AND start >= $from_time AND start < $to_time
