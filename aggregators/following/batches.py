"""What the follower takes from the log at once: every partition in turn, in order, without a gap.

Rules held here:

* a partition is read from the offset after the last one that was applied, and up to an offset that is missing. There
  it is an error: whoever went on would lose what lay there without a word (`aggregators.repair.gaps` is how a person
  does);
* a batch is bounded by its records and by its bytes. The bytes bound how long applying it takes, so that a stop need
  not wait for long;
* a partition whose next entry is damaged is left out, and the batch says so; the others are read on;
* partitions take turns, a chunk each, and the next batch begins where the last one ended: a busy one starves nobody.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ingest.log import LogDamaged, LogReader
from ingest.records import SCHEMAS_TOPIC
from ingest.report import Partition, StoredEntry

MAX_RECORDS = 10_000
MAX_BYTES = 2 * 1024 * 1024
"""Of values: 7,000 usual reports. docs/rollups.md says how long a batch of that size takes."""

CHUNK = 1_000
"""Records of one partition that are read at once: 64 MB in the worst case, as a record has at most 64 KiB."""

Part = tuple[Partition, Sequence[StoredEntry]]


class HistoryGone(Exception):
    """The log lacks entries between what was applied and what it holds now."""


class LogReplaced(Exception):
    """The log ends before what was applied from it: it is another log, or an older copy of it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries to apply. `drained`: every partition was read to its end. Times are milliseconds since the epoch, UTC.

    damaged: what was said of a partition that was left out because its next entry is damaged; "" where none was.
    """

    parts: tuple[Part, ...]
    drained: bool
    damaged: str = ""

    @property
    def records(self) -> int:
        return sum(len(entries) for _, entries in self.parts)

    @property
    def ends(self) -> dict[Partition, int]:
        """The last offset of each partition in it."""
        return {partition: entries[-1].offset for partition, entries in self.parts}

    @property
    def oldest(self) -> int | None:
        """The least time of a record; None in an empty batch."""
        return min(self._times(), default=None)

    @property
    def newest(self) -> int | None:
        """The greatest time of a record; None in an empty batch."""
        return max(self._times(), default=None)

    def _times(self) -> Iterator[int]:
        return (stored.entry.timestamp for _, entries in self.parts for stored in entries)


class Batches:
    """Reads `reader` on from `offsets`, the last applied offset of each partition; -1 where there is none.

    `next` may be called again and returns the same entries until `applied` says that they are in the rollups.
    """

    def __init__(self, reader: LogReader, offsets: Mapping[Partition, int]) -> None:
        self._reader = reader
        self._offsets = dict(offsets)
        self._last: Partition | None = None

    @property
    def offsets(self) -> Mapping[Partition, int]:
        return self._offsets

    async def check(self) -> None:
        """Compare the log with the offsets; raises `HistoryGone`, `LogReplaced`, or `LogUnavailable`."""
        for partition in await self._known():
            last = self._offsets.get(partition, -1)
            first, end = await self._reader.extent(partition)
            _refuse_shorter(partition, end=end, last=last)
            if first > last + 1:
                raise HistoryGone(f"{_named(partition)} lacks offset {last + 1}, which was not counted yet")

    async def gaps(self) -> list[tuple[Partition, int, int]]:
        """The offsets, from the first to the last, that each partition lacks right behind what was applied from it.

        What is damaged counts as lacking, up to the next entry that is whole. Raises `LogReplaced` or `LogUnavailable`.
        """
        found = []
        for partition in await self._known():
            last, (first, end) = self._offsets.get(partition, -1), await self._reader.extent(partition)
            _refuse_shorter(partition, end=end, last=last)
            lacking_to = await self._before_readable(partition, max(last, first - 1), end=end)
            if lacking_to > last:
                found.append((partition, last + 1, lacking_to))
        return found

    async def _before_readable(self, partition: Partition, last: int, *, end: int) -> int:
        """The offset right before the first entry behind `last` that can be read; `end - 1` where none can.

        One by one, for nobody knows how much is damaged: a bit, a page, a batch of a producer.
        """
        for after in range(last, end - 1):
            with suppress(LogDamaged):
                left = await self._reader.read(partition, after=after, limit=1)
                return left[0].offset - 1 if left else after
        return max(last, end - 1)

    async def _known(self) -> Sequence[Partition]:
        return sorted({*self._offsets, *await self.partitions()})

    async def next(self) -> Batch:
        """The next entries; raises `LogUnavailable` or `HistoryGone`."""
        taking = _Taking(self._reader, self._offsets)
        await taking.fill(_after(self._last, await self.partitions()))
        self._last = taking.last or self._last
        return taking.batch()

    async def partitions(self) -> Sequence[Partition]:
        """The partitions that hold records; the schemas that they were written with are none."""
        return [partition for partition in await self._reader.partitions() if partition.topic != SCHEMAS_TOPIC]

    def applied(self, batch: Batch) -> None:
        """The entries of `batch` are in the rollups."""
        self._offsets.update((partition, entries[-1].offset) for partition, entries in batch.parts)

    async def waiting(self) -> int:
        """How many entries were not applied yet, counted in offsets; raises `LogUnavailable`."""
        return sum([await self._beyond(partition) for partition in await self.partitions()])

    async def _beyond(self, partition: Partition) -> int:
        return max((await self._reader.extent(partition)).end - 1 - self._offsets.get(partition, -1), 0)


class _Taking:
    """A batch while it fills."""

    def __init__(self, reader: LogReader, offsets: Mapping[Partition, int]) -> None:
        self._reader = reader
        self._offsets = offsets
        self._taken: dict[Partition, list[StoredEntry]] = {}
        self._records = 0
        self._bytes = 0
        self._drained = False
        self._gap_ahead = False
        self._damaged = ""
        self.last: Partition | None = None

    async def fill(self, turns: Sequence[Partition]) -> None:
        """Take from `turns`, round after round, until they are drained or the batch is full."""
        waiting = deque(turns)
        while waiting and not self._full():
            self.last = waiting.popleft()
            if await self._take(self.last):
                waiting.append(self.last)
        self._drained = not waiting and not self._gap_ahead and not self._damaged

    async def _take(self, partition: Partition) -> bool:
        """Take a chunk; whether there may be more."""
        taken = self._taken.get(partition)
        after = taken[-1].offset if taken else self._offsets.get(partition, -1)
        limit = min(CHUNK, MAX_RECORDS - self._records)
        found = await self._read(partition, after=after, limit=limit)
        dense = _dense(found, after=after)
        if len(dense) < len(found):
            self._gap_ahead = True
            if not dense and not taken:
                raise HistoryGone(f"{_named(partition)} lacks offset {after + 1}, which was not counted yet")
        if dense:
            self._taken.setdefault(partition, []).extend(self._fitting(dense))
        return len(dense) == limit or self._full()

    async def _read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """What can be read. A log serves what lies before damage, and tells of it at the next read: made here."""
        found: Sequence[StoredEntry] = ()
        try:
            found = await self._reader.read(partition, after=after, limit=limit)
            if 0 < len(found) < limit:
                await self._reader.read(partition, after=found[-1].offset, limit=1)
        except LogDamaged as error:
            self._damaged = str(error)
        return found

    def _fitting(self, found: Sequence[StoredEntry]) -> Iterator[StoredEntry]:
        """Entries until the batch is full; the others are read again with the next one."""
        for stored in found:
            if self._full():
                return
            self._records += 1
            self._bytes += len(stored.entry.value)
            yield stored

    def _full(self) -> bool:
        return self._records >= MAX_RECORDS or self._bytes >= MAX_BYTES

    def batch(self) -> Batch:
        return Batch(parts=tuple(self._taken.items()), drained=self._drained, damaged=self._damaged)


def _after(last: Partition | None, partitions: Sequence[Partition]) -> Sequence[Partition]:
    """The partitions in their order, from the one behind `last` on, and then from the first."""
    return sorted(partitions, key=lambda partition: (last is not None and partition <= last, partition))


def _dense(entries: Sequence[StoredEntry], *, after: int) -> Sequence[StoredEntry]:
    """The entries up to the first offset that is missing; offsets of the logs that there are rise by one."""
    if not entries or entries[-1].offset == after + len(entries):
        return entries
    return entries[: next(at for at, stored in enumerate(entries) if stored.offset != after + 1 + at)]


def _refuse_shorter(partition: Partition, *, end: int, last: int) -> None:
    if end <= last:
        raise LogReplaced(f"{_named(partition)} ends before offset {last}, which was counted from it")


def _named(partition: Partition) -> str:
    return f"partition {partition.number} of {partition.topic}"
