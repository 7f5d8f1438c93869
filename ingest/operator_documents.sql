-- What the operator said, and from when on it is so. Times are milliseconds since the epoch, UTC. Answers about the past
-- go by these rows, so none is ever changed or removed, by no program that opens the file.
CREATE TABLE documents (
    kind     TEXT    NOT NULL,                 -- manifest, prices; no CHECK: a later program may know more
    number   INTEGER NOT NULL,                 -- 1, 2, 3 ... within its kind, in the order of recording
    recorded INTEGER NOT NULL,
    in_force INTEGER NOT NULL,                 -- until the next one; of two at one moment, the greater number
    document TEXT    NOT NULL CHECK (json_valid(document)),
    PRIMARY KEY (kind, number)
) STRICT;
CREATE INDEX documents_in_force ON documents (kind, in_force, number);
CREATE TRIGGER documents_stay_as_they_are BEFORE UPDATE ON documents
BEGIN SELECT raise(ABORT, 'a document is never changed'); END;
CREATE TRIGGER documents_stay BEFORE DELETE ON documents
BEGIN SELECT raise(ABORT, 'a document is never removed'); END;
-- INSERT OR REPLACE removes the row that is in its way without asking the trigger above.
CREATE TRIGGER documents_are_added BEFORE INSERT ON documents
WHEN EXISTS (SELECT 1 FROM documents WHERE kind = NEW.kind AND number = NEW.number)
BEGIN SELECT raise(ABORT, 'a document is never replaced'); END;
PRAGMA user_version = 1;
