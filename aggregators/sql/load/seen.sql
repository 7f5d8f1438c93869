-- Which of `arrivals` (ordinal, hour, id) were counted before. Only what was seen of the batch's own hours is looked at.
SELECT ordinal
FROM arrivals JOIN seen USING (hour, id)
WHERE seen.hour BETWEEN $first AND $last;
