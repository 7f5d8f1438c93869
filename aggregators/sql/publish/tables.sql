-- Days of which hours were published while the day itself was not over; their daily cells are still to come.
CREATE TABLE IF NOT EXISTS changed_days (basis VARCHAR NOT NULL, day TIMESTAMP NOT NULL);
