"""Where the embedded log puts an entry: topics and partitions as the file knows them, kept in memory by its writer."""

import sqlite3
from dataclasses import dataclass

from ingest.log.partitioning import partition_number
from ingest.log.sqlite_file import statement
from ingest.report import Partition

NEWEST_OFFSETS = statement("newest_offsets")


@dataclass(slots=True)
class PartitionEnd:
    """Where a partition ends: the id of its row in the file, and its highest offset (-1 without entries)."""

    partition: Partition
    row: int
    newest: int

    def next_offset(self) -> int:
        """The offset of the entry that comes now, which is the newest from here on."""
        self.newest += 1
        return self.newest


@dataclass(slots=True)
class Placement:
    """What the file says now, the transaction that is open on `connection` included; worthless once that is undone.

    `partitions_of` is the number per topic, `ends` the partitions that have a row in the file.
    """

    connection: sqlite3.Connection
    partitions_of_new_topic: int
    partitions_of: dict[str, int]
    ends: dict[tuple[str, int], PartitionEnd]

    @classmethod
    def from_file(cls, connection: sqlite3.Connection, partitions_of_new_topic: int) -> "Placement":
        """Reads it; two small queries, whatever the number of entries."""
        return cls(
            connection=connection,
            partitions_of_new_topic=partitions_of_new_topic,
            partitions_of=dict(connection.execute("SELECT topic, partitions FROM topics")),
            ends={
                (topic, number): PartitionEnd(Partition(topic, number), row, newest)
                for topic, number, row, newest in connection.execute(NEWEST_OFFSETS)
            },
        )

    def end(self, topic: str, key: bytes) -> PartitionEnd:
        """The end of the key's partition; a topic or partition seen for the first time is recorded."""
        partitions = self.partitions_of.get(topic) or self._create_topic(topic)
        number = partition_number(key, partitions)
        return self.ends.get((topic, number)) or self._create_partition(Partition(topic, number))

    def _create_topic(self, topic: str) -> int:
        self.connection.execute("INSERT INTO topics VALUES (?, ?)", (topic, self.partitions_of_new_topic))
        self.partitions_of[topic] = self.partitions_of_new_topic
        return self.partitions_of_new_topic

    def _create_partition(self, partition: Partition) -> PartitionEnd:
        row = len(self.ends)
        self.connection.execute("INSERT INTO partitions VALUES (?, ?, ?)", (row, *partition))
        self.ends[partition] = PartitionEnd(partition, row, newest=-1)
        return self.ends[partition]
