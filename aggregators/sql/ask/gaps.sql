-- What was lost from the log and may belong to a range.
SELECT count(*) AS gaps, coalesce(sum("last" - "first" + 1), 0)::BIGINT AS records, max(received) AS accepted
FROM gaps
WHERE (affects_from IS NULL OR affects_from < $end_time) AND affects_to > $start_time
