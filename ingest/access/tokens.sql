-- Who may speak to the gate. Times are milliseconds since the epoch, UTC.
CREATE TABLE tokens (
    id          TEXT    NOT NULL PRIMARY KEY,
    hash        BLOB    NOT NULL,              -- SHA-256 of the secret; the secret itself is nowhere
    tier        TEXT,                          -- '*' for a role, which reads about every tier
    kind        TEXT    NOT NULL,              -- no CHECK: a gate ignores kinds that it does not know
    label       TEXT    NOT NULL,              -- the operator's own words, never a device's
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    revoked     INTEGER,
    replaced_by TEXT REFERENCES tokens (id),
    change      INTEGER NOT NULL               -- rises with every write, so that a gate reads only what is new
) STRICT;
CREATE INDEX tokens_by_change ON tokens (change);
PRAGMA user_version = 1;
