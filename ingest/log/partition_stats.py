"""What a partition holds, for a person who looks."""

from typing import NamedTuple

from ingest.log import LogReader
from ingest.report import Partition

BATCH = 1000


class PartitionStats(NamedTuple):
    """What a partition holds; `value_bytes` without keys and headers, timestamps in milliseconds since the epoch."""

    partition: Partition
    entries: int
    value_bytes: int
    first_offset: int
    last_offset: int
    first_timestamp: int
    last_timestamp: int


async def counted(reader: LogReader, partition: Partition) -> PartitionStats | None:
    """What `partition` holds, by reading all of it; None where it is empty. Raises `LogUnavailable`."""
    first = last = None
    entries = value_bytes = 0
    while found := await reader.read(partition, after=-1 if last is None else last.offset, limit=BATCH):
        first, last = first or found[0], found[-1]
        entries += len(found)
        value_bytes += sum([len(stored.entry.value) for stored in found])
    if first is None or last is None:
        return None
    times = (first.entry.timestamp, last.entry.timestamp)
    return PartitionStats(partition, entries, value_bytes, first.offset, last.offset, *times)
