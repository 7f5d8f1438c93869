-- What the follower keeps. Every table of counts is insert-only: one row says what one batch added to one combination of
-- dimensions, whoever reads sums, and sealing merges the rows of a segment. So the order and the size of batches, and how
-- often the process was killed between them, cannot be seen in any sum.
--
-- segment: how many seals existed when the row was written; rows of an older segment are in a Parquet file as well.
-- hour: the beginning of the window's hour, UTC. received: the beginning of the hour in which the gate appended, UTC.
-- device: the pseudonym of the device, where its tier makes one.
-- Evidence of distinct devices, for suppression (docs/adr/0012-lower-bound.md). Each counts a device at most once per
-- combination of the row's own dimensions and hour (or day) of the window:
--   key_hour, key_day        reports with a row that carries the device's flag "my first of this combination", counted
--                            once in each combination however many rows say so; of those in which the gate altered or
--                            dropped no dimension of a row, and no name that no schema has
--   report_hour, report_day  reports that carry the header's flag "my first of this type of report", counted once in each
--                            combination that they have a row of

CREATE TABLE about (format INTEGER NOT NULL, seen_key BLOB NOT NULL, segment INTEGER NOT NULL, publication INTEGER NOT NULL);

-- The last offset of each partition that is in the other tables.
CREATE TABLE offsets (topic VARCHAR NOT NULL, partition INTEGER NOT NULL, last BIGINT NOT NULL, received TIMESTAMP);

-- Reports that were counted, by a keyed 64-bit hash of topic and report id; probed only within the hours of a batch.
CREATE TABLE seen (segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, id UBIGINT NOT NULL);

-- Hours that changed since they were last looked at for publication. basis: window, received.
CREATE TABLE changed (basis VARCHAR NOT NULL, hour TIMESTAMP NOT NULL);

-- Records that could not be read; never their bytes.
CREATE TABLE parked (
  segment INTEGER NOT NULL, topic VARCHAR NOT NULL, partition INTEGER NOT NULL, "offset" BIGINT NOT NULL,
  reason VARCHAR NOT NULL, length BIGINT NOT NULL, received TIMESTAMP NOT NULL
);

-- Offsets "first" to "last" that the log lost before they were applied, which a person has accepted (received: when). Their
-- records may belong to any window from affects_from (NULL: to any before) to affects_to.
CREATE TABLE IF NOT EXISTS gaps (
  segment INTEGER NOT NULL, topic VARCHAR NOT NULL, partition INTEGER NOT NULL, "first" BIGINT NOT NULL,
  "last" BIGINT NOT NULL, affects_from TIMESTAMP, affects_to TIMESTAMP NOT NULL, received TIMESTAMP NOT NULL,
  why VARCHAR NOT NULL
);

-- Reports found in the log, by hour of receipt. accepted: the first of its id; duplicates: every further one.
CREATE TABLE receipts (
  segment INTEGER NOT NULL, received TIMESTAMP NOT NULL, tier VARCHAR NOT NULL, report VARCHAR NOT NULL,
  schema_version INTEGER NOT NULL, policy_version INTEGER, accepted BIGINT NOT NULL, duplicates BIGINT NOT NULL
);

-- What each gate says it did; of several records of one sequence number the one that ends last counts, and of equal ones
-- the one with the greatest place.
CREATE TABLE gate_spans (
  segment INTEGER NOT NULL, gate VARCHAR NOT NULL, sequence BIGINT NOT NULL, place BIGINT NOT NULL,
  from_time TIMESTAMP NOT NULL, to_time TIMESTAMP NOT NULL, final BOOLEAN NOT NULL
);
CREATE TABLE gate_outcomes (
  segment INTEGER NOT NULL, gate VARCHAR NOT NULL, sequence BIGINT NOT NULL, place BIGINT NOT NULL,
  received TIMESTAMP NOT NULL, tier VARCHAR NOT NULL, outcome VARCHAR NOT NULL, reports BIGINT NOT NULL
);

-- Remarks of all nine reports: how many values of a field were not kept as they were. field: the path in the schema.
-- reports: how many reports have the remark.
CREATE TABLE remarks (
  segment INTEGER NOT NULL, received TIMESTAMP NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL,
  report VARCHAR NOT NULL, schema_version INTEGER NOT NULL, policy_version INTEGER, agent_version VARCHAR,
  field VARCHAR NOT NULL, action VARCHAR NOT NULL, "values" BIGINT NOT NULL, reports BIGINT NOT NULL,
  report_hour BIGINT NOT NULL, report_day BIGINT NOT NULL
);

CREATE TABLE route_rows (
  segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL,
  region VARCHAR, hardware_tier VARCHAR, device VARCHAR,
  data_class VARCHAR, task_kind VARCHAR, input_size VARCHAR, authority VARCHAR, device_approved VARCHAR,
  planned_route VARCHAR, actual_route VARCHAR, decision_reason VARCHAR, "precision" VARCHAR,
  served_region VARCHAR, model VARCHAR, model_version VARCHAR, policy_version VARCHAR,
  tasks BIGINT, attempts BIGINT, succeeded BIGINT, refused BIGINT, degraded BIGINT, offline BIGINT, cold_starts BIGINT,
  contract_checked BIGINT, contract_valid BIGINT, citations_expected BIGINT, citations_present BIGINT,
  tokens_in BIGINT, tokens_out BIGINT, bytes_sent BIGINT,
  key_hour BIGINT NOT NULL, key_day BIGINT NOT NULL, report_hour BIGINT NOT NULL, report_day BIGINT NOT NULL
);

-- Histograms of route_window rows. signal: latency, first_token. bucket: index at scale 3 (-24 to 191);
-- -1000 counts zeros, -999 what lies under the least bucket, 1000 what lies over the greatest.
CREATE TABLE route_latency (
  segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL, region VARCHAR, actual_route VARCHAR,
  served_region VARCHAR, model VARCHAR, model_version VARCHAR, signal VARCHAR NOT NULL, bucket SMALLINT NOT NULL,
  observations BIGINT NOT NULL
);

CREATE TABLE violation_rows (
  segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL,
  region VARCHAR, hardware_tier VARCHAR, device VARCHAR, rule VARCHAR, tasks BIGINT,
  key_hour BIGINT NOT NULL, key_day BIGINT NOT NULL, report_hour BIGINT NOT NULL, report_day BIGINT NOT NULL
);

CREATE TABLE fallback_rows (
  segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL,
  region VARCHAR, hardware_tier VARCHAR, device VARCHAR,
  data_class VARCHAR, planned_route VARCHAR, actual_route VARCHAR, fallback_reason VARCHAR, consent VARCHAR,
  disclosed VARCHAR,
  tasks BIGINT, succeeded BIGINT, degraded BIGINT, bytes_moved BIGINT, seconds_in_fallback BIGINT, returns BIGINT,
  canary_returns BIGINT,
  key_hour BIGINT NOT NULL, key_day BIGINT NOT NULL, report_hour BIGINT NOT NULL, report_day BIGINT NOT NULL
);

CREATE TABLE fallback_planned (
  segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL,
  region VARCHAR, hardware_tier VARCHAR, device VARCHAR, planned_route VARCHAR, tasks BIGINT,
  key_hour BIGINT NOT NULL, key_day BIGINT NOT NULL, report_hour BIGINT NOT NULL, report_day BIGINT NOT NULL
);

-- return_time of fallback_window rows, in seconds; buckets as in route_latency.
CREATE TABLE fallback_return (
  segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL, region VARCHAR, planned_route VARCHAR,
  actual_route VARCHAR, bucket SMALLINT NOT NULL, observations BIGINT NOT NULL
);

-- first_of_hour, first_of_day: rows that carry the device's flag, whatever the gate altered: how many installations
-- were reported for the first time in the hour (day). A count to show, not evidence.
CREATE TABLE inventory_rows (
  segment INTEGER NOT NULL, hour TIMESTAMP NOT NULL, tier VARCHAR NOT NULL,
  region VARCHAR, hardware_tier VARCHAR, device VARCHAR, manifest_age VARCHAR,
  model VARCHAR, version VARCHAR, digest VARCHAR, "precision" VARCHAR, runtime VARCHAR,
  state VARCHAR, removal VARCHAR, wanted_version VARCHAR, serving BOOLEAN,
  tasks BIGINT, fallbacks BIGINT, crashes BIGINT, downloads BIGINT, signature_failures BIGINT, checksum_failures BIGINT,
  bytes_downloaded BIGINT, bytes_wasted BIGINT, first_of_hour BIGINT, first_of_day BIGINT,
  key_hour BIGINT NOT NULL, key_day BIGINT NOT NULL, report_hour BIGINT NOT NULL, report_day BIGINT NOT NULL
);

-- Publications, oldest first. complete_to: up to which hour of a window everything had been read and its hour was over.
CREATE TABLE publications (number INTEGER NOT NULL, "at" TIMESTAMP NOT NULL, complete_to TIMESTAMP NOT NULL);

-- Cells that a published cube could not show, as of the newest publication that looked at the span: cells: too few
-- devices; waiting: published cells whose late data wait for more devices.
CREATE TABLE withheld (
  measure VARCHAR NOT NULL, cube VARCHAR NOT NULL, grain VARCHAR NOT NULL, start TIMESTAMP NOT NULL, tier VARCHAR NOT NULL,
  cells BIGINT NOT NULL, waiting BIGINT NOT NULL
);
