-- `unreadable`: records of a batch that could not be read: topic, partition, offset, reason, length, received.
INSERT INTO parked
SELECT segment_now(), topic, "partition", "offset", reason, length, received FROM unreadable;
