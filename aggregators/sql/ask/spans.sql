-- Which cells of a cube a question reads: days from $first_day up to $last_day by their daily cells, except those in
-- $open_days, and every other hour by its hourly cells.
start >= $from_time AND start < $to_time AND (
  (grain = 'hour' AND (
    start < $first_day OR start >= $last_day OR list_contains($open_days::TIMESTAMP[], time_bucket(INTERVAL 1 DAY, start))
  ))
  OR (grain = 'day' AND start >= $first_day AND start < $last_day AND NOT list_contains($open_days::TIMESTAMP[], start))
)
