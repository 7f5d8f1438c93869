-- Which key epochs ever were. Times are milliseconds since the epoch, UTC. No key is in here.
CREATE TABLE epochs (
    tier      TEXT    NOT NULL,
    days      INTEGER NOT NULL,
    number    INTEGER NOT NULL,                -- whole epochs of `days` since 1970-01-01
    made      INTEGER NOT NULL,
    destroyed INTEGER,
    PRIMARY KEY (tier, days, number)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
