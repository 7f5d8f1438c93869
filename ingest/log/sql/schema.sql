-- The embedded log, version 1. docs/adr/0004-embedded-log-is-sqlite.md says why it looks like this.
-- Executed by ingest/log/sqlite_file.py inside one transaction, together with the file's application_id and user_version.

-- One row per topic that was ever appended to; the number of its partitions never changes afterwards.
CREATE TABLE topics (
    topic      TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL CHECK (partitions > 0)
) WITHOUT ROWID;

-- One row per partition that holds, or held, an entry.
CREATE TABLE partitions (
    id     INTEGER PRIMARY KEY,
    topic  TEXT    NOT NULL REFERENCES topics (topic),
    number INTEGER NOT NULL,
    UNIQUE (topic, number)
);

-- One sequence over all partitions: "offset" is the row's id, so every insert goes to the end of the table, whatever
-- the topic, and the offsets of one partition rise without being dense. Retention may delete any row but the newest,
-- from which the next offset follows.
CREATE TABLE entries (
    "offset"    INTEGER PRIMARY KEY,
    partition   INTEGER NOT NULL REFERENCES partitions (id),
    "timestamp" INTEGER NOT NULL,
    "key"       BLOB    NOT NULL,
    headers     BLOB,   -- ingest/log/header_block.py; NULL when there are none
    value       BLOB    NOT NULL
);

-- Holds (partition, offset), as every index ends in the row's id: a read is one range of it.
CREATE INDEX entries_by_partition ON entries (partition);

-- Written by probe(), read by nobody.
CREATE TABLE probe (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    probes INTEGER NOT NULL
);
INSERT INTO probe (id, probes) VALUES (1, 0);
