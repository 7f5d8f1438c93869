-- The queue of one device. No identifier, no value of a task and no time that the tier would drop is in it.

PRAGMA application_id = 0x54645175;
PRAGMA user_version = 1;

-- What waits to be sent. `checksum` covers all that is sent or decides where it may be sent.
CREATE TABLE reports (
    place INTEGER PRIMARY KEY,
    report_id BLOB NOT NULL UNIQUE,
    report TEXT NOT NULL,
    tier TEXT,
    policy_version INTEGER,
    purposes TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL,
    held_for TEXT,
    taken_off TEXT NOT NULL,
    tells TEXT,
    checksum INTEGER NOT NULL,
    identifiers_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    message BLOB NOT NULL
) STRICT;

CREATE INDEX oldest_first ON reports (window_start, size);

-- Windows that a process is adding up, so that its death is noticed.
CREATE TABLE open_windows (
    window TEXT PRIMARY KEY,
    window_start INTEGER NOT NULL,
    process TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers by name: since the file was begun, and since a trace_window told them last.
CREATE TABLE counts (
    name TEXT PRIMARY KEY,
    total INTEGER NOT NULL,
    untold INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- JSON by name: presence flags, the policy, the last answer.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
