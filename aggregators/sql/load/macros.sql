-- What the other files of this directory share. Temporary: they belong to the connection that loads.

-- The segment that rows belong to which are written now.
CREATE TEMP MACRO segment_now() AS (SELECT segment FROM about);

-- A count that can be true. The schemas do not forbid negative ones, nor such that no window holds, and a device may be
-- broken: one absurd number is left out, so that it neither takes from what others counted nor makes a sum overflow.
-- 2^40 in one row of one window: a terabyte sent, a million million tokens.
CREATE TEMP MACRO counted(count) AS CASE WHEN count BETWEEN 0 AND 1099511627776 THEN count END;

-- A histogram as a list of its buckets that are not empty. The schemas do not forbid an offset that leads beyond the
-- buckets that exist (-24 to 191): what is counted there counts as under or over them. A list that is twice as long as
-- they are many is absurd, and left out with its histogram: thousands of counts would add up in one of those two.
CREATE TEMP MACRO bucket_at(index) AS CASE WHEN index < -24 THEN -999 WHEN index > 191 THEN 1000 ELSE index END;
CREATE TEMP MACRO sound(histogram) AS CASE WHEN coalesce(len(histogram.counts), 0) <= 432 THEN histogram END;
CREATE TEMP MACRO observed_in(histogram) AS list_filter(
  list_concat(
    [
      {bucket: -1000::BIGINT, observations: counted(histogram.zero_count)},
      {bucket: -999, observations: counted(histogram.underflow)},
      {bucket: 1000, observations: counted(histogram.overflow)}
    ],
    list_transform(
      histogram.counts,
      -- Bounded first, for no sum of two numbers that were sent may overflow.
      lambda observations, place: {
        bucket: bucket_at(greatest(-1000000, least(1000000, histogram."offset")) + place - 1),
        observations: counted(observations)
      }
    )
  ),
  lambda found: found.observations > 0
);
CREATE TEMP MACRO buckets(histogram) AS observed_in(sound(histogram));
