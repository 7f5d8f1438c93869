-- `progress`: how far a batch leads in each of its partitions: topic, partition, last, received.

DELETE FROM offsets WHERE (topic, "partition") IN (SELECT (topic, "partition") FROM progress);

INSERT INTO offsets SELECT topic, "partition", last, received FROM progress;
