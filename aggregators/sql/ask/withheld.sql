-- What one cube could not show over a span: by tier and no further, so that nothing tells where it is.
SELECT coalesce(sum(cells), 0)::BIGINT AS cells, coalesce(sum(waiting), 0)::BIGINT AS waiting
FROM withheld
WHERE measure = $measure AND cube = $cube AND ($tiers IS NULL OR list_contains($tiers::VARCHAR[], tier)) AND ({spans})
