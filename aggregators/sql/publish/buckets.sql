, by_bucket AS (
  SELECT {place}, name, bucket, sum(observations) AS observations
  FROM observed
  WHERE {of_part}
  GROUP BY ALL
),
by_histogram AS (
  SELECT {place}, {maps}
  FROM by_bucket
  GROUP BY {place}
)
