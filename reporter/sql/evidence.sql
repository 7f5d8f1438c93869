-- What a device did, for its owner; never sent. Words of closed lists and numbers, nothing finer than an hour.

BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS tasks (
    hour INTEGER NOT NULL,
    planned_route TEXT NOT NULL,
    actual_route TEXT NOT NULL,
    decision_reason TEXT NOT NULL,
    fallback_reason TEXT NOT NULL,
    consent TEXT NOT NULL,
    disclosed TEXT NOT NULL,
    data_class TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    PRIMARY KEY (hour, planned_route, actual_route, decision_reason, fallback_reason, consent, disclosed, data_class)
) STRICT, WITHOUT ROWID;

-- Windows that were counted, by the random names that they had while they were open: none is counted twice.
CREATE TABLE IF NOT EXISTS windows (
    name TEXT PRIMARY KEY,
    hour INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS begun (
    hour INTEGER NOT NULL
) STRICT;

PRAGMA user_version = 1;

COMMIT;
