"""A checksum of an entry as the embedded log stores it, so that a byte that a disk changed is found and never served.

It covers everything that is read back, the place included: a damaged index may lead to the wrong row.
"""

from typing import Any, NamedTuple
from zlib import crc32

from ingest.log import LogDamaged
from ingest.report import Partition


class StoredRow(NamedTuple):
    """A row of `sql/read_entries.sql`; `headers` is the block of `header_block`."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int
    headers: bytes | None
    checksum: int


def checksum(
    partition: Partition, offset: int, *, timestamp: int, key: bytes, headers: bytes | None, value: bytes
) -> int:
    """CRC-32; `headers` is the block of `header_block`. Lengths are in it, so that no part can borrow from the next."""
    topic, block = partition.topic.encode(), headers or b""
    place = b"%d %d %d %d %d %d " % (partition.number, offset, timestamp, len(topic), len(key), len(block))
    return crc32(b"".join((place, topic, key, block, value)))


def checked(partition: Partition, row: tuple[Any, ...]) -> StoredRow:
    """The row, if it is what was stored; raises `LogDamaged`."""
    found = StoredRow(*row)
    if not _has_its_types(row) or found.checksum != checksum(
        partition, found.offset, timestamp=found.timestamp, key=found.key, headers=found.headers, value=found.value
    ):
        raise _damaged(partition, found.offset, "is not what was appended")
    return found


def left_out(partition: Partition, offset: int) -> LogDamaged:
    """What is raised where an entry is missing between others, or before the newest."""
    return _damaged(partition, offset, "is missing")


def _damaged(partition: Partition, offset: int, what: str) -> LogDamaged:
    return LogDamaged(
        f"offset {offset} of partition {partition.number} of {partition.topic} {what}, so the disk under the log has "
        "damaged it: restore the log from its backup"
    )


def _has_its_types(row: tuple[Any, ...]) -> bool:
    """SQLite keeps the type of each value beside it, where it can be damaged as well."""
    offset, key, value, timestamp, headers, _ = row
    numbers = isinstance(offset, int) and isinstance(timestamp, int)
    return numbers and isinstance(key, bytes) and isinstance(value, bytes) and isinstance(headers, bytes | None)
