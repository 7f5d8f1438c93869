"""What a broker returns for a fetch, as entries. A batch is checked against its CRC before anything of it is used."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka.record.memory_records import MemoryRecords

from ingest.log import LogDamaged
from ingest.log.stored import stored_entry
from ingest.report import StoredEntry


class Fetched(NamedTuple):
    """Entries in the order of their offsets, and where to go on.

    `next` is behind the last batch, entries or not: markers of transactions and what compaction took away have offsets
    too. `end` is how far the partition reached when it was asked.
    """

    entries: Sequence[StoredEntry]
    next: int
    end: int


def fetched(topic: str, records: bytes, *, begin: int, end: int) -> Fetched:
    """The entries of `records` from offset `begin` on, for `topic` as the log names it.

    Nothing behind a damaged batch is used. Raises `LogDamaged` where the first one is.
    """
    found: list[StoredEntry] = []
    following = begin
    # What is not whole at the end was cut off by the broker at the size that was asked for.
    batches = MemoryRecords(records)
    while (batch := batches.next_batch()) is not None:
        if not batch.validate_crc():
            if following > begin:
                break
            raise LogDamaged(f"a batch of topic {topic} that holds offset {begin} is damaged: let a good replica lead")
        following = max(following, batch.next_offset)
        if not batch.is_control_batch:
            found += _entries(topic, batch, begin)
    return Fetched(found, following, end)


def _entries(topic: str, batch: Any, begin: int) -> list[StoredEntry]:
    """Whole batches are returned, also the one in whose middle `begin` lies."""
    return [
        stored_entry(
            record.offset, (topic, record.key or b"", record.value or b"", record.timestamp, tuple(record.headers))
        )
        for record in batch
        if record.offset >= begin
    ]
