-- The embedded log, version 2. docs/adr/0004-embedded-log-is-sqlite.md says why it looks like this.
-- Executed by ingest/log/sqlite_file.py inside one transaction, together with the file's application_id and user_version.

-- One row per topic that was ever appended to; the number of its partitions never changes afterwards.
CREATE TABLE topics (
    topic      TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL CHECK (partitions > 0)
) WITHOUT ROWID;

-- One row per partition that holds, or held, an entry; ids in the order of creation.
CREATE TABLE partitions (
    id     INTEGER PRIMARY KEY,
    topic  TEXT    NOT NULL REFERENCES topics (topic),
    number INTEGER NOT NULL,
    UNIQUE (topic, number)
);

-- Every partition counts its own entries from 0. Nothing here may order the entries of one partition among those of
-- another, a row id included: next to entries with an exact time such an order would tell when the others were
-- appended. Retention may delete from the beginning of a partition, and never its newest row, from which the next offset
-- follows; whatever else is missing was damaged.
CREATE TABLE entries (
    partition   INTEGER NOT NULL REFERENCES partitions (id),
    "offset"    INTEGER NOT NULL,
    "timestamp" INTEGER NOT NULL,
    "key"       BLOB    NOT NULL,
    headers     BLOB,   -- ingest/log/header_block.py; NULL when there are none
    value       BLOB    NOT NULL,
    checksum    INTEGER NOT NULL,  -- ingest/log/checksum.py
    PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;

-- Written by probe(), read by nobody.
CREATE TABLE probe (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    probes INTEGER NOT NULL
);
INSERT INTO probe (id, probes) VALUES (1, 0);
