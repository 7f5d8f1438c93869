-- Words that the measures share. Temporary, so that every connection makes its own and none is in the file.

-- Where a route ends. `other` and routes on which no model runs end nowhere.
CREATE OR REPLACE TEMP MACRO zone(route) AS
  CASE route
    WHEN 'on_device' THEN 'device'
    WHEN 'edge' THEN 'site'
    WHEN 'private_cloud' THEN 'private'
    WHEN 'managed_cloud' THEN 'vendor'
    ELSE 'none'
  END;

-- The bucket in which the nearest rank falls: of n observations in order, number ceil(n * percent / 100), counted
-- without fractions. NULL of a histogram that is empty. Buckets are numbered in the order of what they count: zeros
-- (-1000), underflow (-999), -24 to 191, overflow (1000).
CREATE OR REPLACE TEMP MACRO percentile_bucket(histogram, percent) AS
  list_reduce(
    list_sort(map_entries(histogram)),
    lambda seen, entry:
      CASE WHEN seen.left_to_pass > 0
        THEN struct_pack(bucket := entry.key, left_to_pass := seen.left_to_pass - entry.value)
        ELSE seen
      END,
    struct_pack(
      bucket := NULL::SMALLINT,
      left_to_pass := ((coalesce(list_sum(map_values(histogram)), 0) * percent + 99) // 100)::HUGEINT
    )
  ).bucket;

-- What a percentile reads. Bucket i counts values above 2^(i/8) and up to 2^((i+1)/8) and reads 2^((i+0.5)/8), which is
-- within a factor of 2^(1/16) of each of them: at most 4.5 % too great, at most 4.3 % too small. Underflow, which is
-- anything above 0 and up to 1/8, reads 1/8; overflow reads NULL.
CREATE OR REPLACE TEMP MACRO bucket_reading(bucket) AS
  CASE
    WHEN bucket = -1000 THEN 0.0::DOUBLE
    WHEN bucket = -999 THEN 0.125::DOUBLE
    WHEN bucket < 1000 THEN pow(2, (bucket + 0.5) / 8)
  END;
CREATE OR REPLACE TEMP MACRO percentile(histogram, percent) AS bucket_reading(percentile_bucket(histogram, percent));

-- What stands in place of a percentile in the overflow, for the column `beyond`; NULL of any other.
CREATE OR REPLACE TEMP MACRO past_range(name, histogram, percent) AS
  CASE WHEN percentile_bucket(histogram, percent) = 1000 THEN name || ' > 16777216' END;

-- How much later than the last record of a gate's series other gates' records behind it have to be, until the series
-- counts as ended: two heartbeats (`ingest/telemetry/outcomes.py`) of which none came.
CREATE OR REPLACE TEMP MACRO silence() AS INTERVAL 2 MINUTE;

-- The series of gates that ended without a final record, and when, by the records before `up_to` alone: what was counted
-- behind the last one is unknown. Whether a series goes on can be told by what lies behind it in the log and by nothing
-- else: no gate names the one before it, and the log's own time stands still where nobody writes. Behind it *and* later:
-- the clock of a gate that writes on may be set back, and then what is later lies before it.
CREATE OR REPLACE TEMP MACRO ended_series(up_to) AS TABLE
  WITH series AS (
    SELECT gate, max(place) AS place, max(to_time) AS to_time, bool_or(final) AS final
    FROM gate_spans
    WHERE to_time < up_to
    GROUP BY gate
  )
  SELECT gate, to_time
  FROM series
  -- Of all that lie behind it the latest tells; without a join, for gates that are started often have many series.
  QUALIFY NOT final AND max(to_time) OVER (ORDER BY place DESC RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    >= to_time + silence();

-- Rows with `key`: everything by which the rows of one report differ in the table, so that no device has more than one
-- flag in the rows of one key and hour (day). That is what the device calls its combination, and for inventory also what
-- the rows are grouped by beside it: where the gate drops a digest, two files of a device would otherwise share a key.
-- A list, so that keys of several tables can stand in one column; its first item is the table.
CREATE OR REPLACE TEMP VIEW keyed_route_rows AS
SELECT *, [
  'route_rows', data_class, task_kind, input_size, authority, device_approved, planned_route, actual_route,
  decision_reason, "precision", served_region, model, model_version, policy_version
] AS key
FROM route_rows;
CREATE OR REPLACE TEMP VIEW keyed_violation_rows AS
SELECT *, ['violation_rows', rule] AS key FROM violation_rows;
CREATE OR REPLACE TEMP VIEW keyed_fallback_rows AS
SELECT *, [
  'fallback_rows', data_class, planned_route, actual_route, fallback_reason, consent, disclosed
] AS key
FROM fallback_rows;
CREATE OR REPLACE TEMP VIEW keyed_fallback_planned AS
SELECT *, ['fallback_planned', planned_route] AS key FROM fallback_planned;
CREATE OR REPLACE TEMP VIEW keyed_inventory_rows AS
SELECT *, [
  'inventory_rows', model, version, digest, "precision", runtime, state, removal, wanted_version, serving::VARCHAR
] AS key
FROM inventory_rows;

-- Rows that speak of a fallback.
CREATE OR REPLACE TEMP VIEW fallbacks AS
SELECT * FROM keyed_fallback_rows
WHERE planned_route IS DISTINCT FROM actual_route OR coalesce(fallback_reason, 'none') <> 'none';
