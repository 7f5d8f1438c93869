"""Where the embedded log puts an entry: topics and partitions as the file knows them, kept in memory by its writer."""

import sqlite3
from dataclasses import dataclass

from ingest.log.partitioning import partition_number
from ingest.report import Partition


@dataclass(slots=True)
class Placement:
    """What the file says now, the transaction that is open on `connection` included; worthless once that is undone.

    `partitions_of` is the number per topic, `rows` the partitions that have a row in the file and its id, `newest` the
    highest offset (-1 without entries).
    """

    connection: sqlite3.Connection
    partitions_of_new_topic: int
    partitions_of: dict[str, int]
    rows: dict[tuple[str, int], tuple[Partition, int]]
    newest: int

    @classmethod
    def from_file(cls, connection: sqlite3.Connection, partitions_of_new_topic: int) -> "Placement":
        """Reads it; three small queries."""
        (newest,) = connection.execute('SELECT coalesce(max("offset"), -1) FROM entries').fetchone()
        partitions = connection.execute("SELECT topic, number, id FROM partitions")
        return cls(
            connection=connection,
            partitions_of_new_topic=partitions_of_new_topic,
            partitions_of=dict(connection.execute("SELECT topic, partitions FROM topics")),
            rows={(topic, number): (Partition(topic, number), row) for topic, number, row in partitions},
            newest=newest,
        )

    def partition(self, topic: str, key: bytes) -> tuple[Partition, int]:
        """The partition of the key and the id of its row; a topic or partition seen for the first time is recorded."""
        partitions = self.partitions_of.get(topic) or self._create_topic(topic)
        number = partition_number(key, partitions)
        return self.rows.get((topic, number)) or self._create_partition(Partition(topic, number))

    def _create_topic(self, topic: str) -> int:
        self.connection.execute("INSERT INTO topics VALUES (?, ?)", (topic, self.partitions_of_new_topic))
        self.partitions_of[topic] = self.partitions_of_new_topic
        return self.partitions_of_new_topic

    def _create_partition(self, partition: Partition) -> tuple[Partition, int]:
        row = len(self.rows)
        self.connection.execute("INSERT INTO partitions VALUES (?, ?, ?)", (row, *partition))
        self.rows[partition] = partition, row
        return partition, row
