-- What the operator's documents said and when: copied from the operator's history with every publication, read by the
-- measures. in_force <= hour < until; until is 'infinity' for what is in force now.
CREATE TABLE IF NOT EXISTS operator_documents (kind VARCHAR NOT NULL, number BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS named_models (model VARCHAR NOT NULL, in_force TIMESTAMP NOT NULL, until TIMESTAMP NOT NULL);
CREATE TABLE IF NOT EXISTS wanted (
  model VARCHAR NOT NULL, region VARCHAR NOT NULL, version VARCHAR NOT NULL, share DOUBLE NOT NULL,
  in_force TIMESTAMP NOT NULL, until TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS revoked (
  model VARCHAR NOT NULL, version VARCHAR NOT NULL, in_force TIMESTAMP NOT NULL, until TIMESTAMP NOT NULL
);
-- Micro-currency per million tokens: tokens times price is in 1e-12 of the currency.
CREATE TABLE IF NOT EXISTS prices (
  route VARCHAR NOT NULL, model VARCHAR NOT NULL, input_micro BIGINT NOT NULL, output_micro BIGINT NOT NULL,
  currency VARCHAR NOT NULL, in_force TIMESTAMP NOT NULL, until TIMESTAMP NOT NULL
);
