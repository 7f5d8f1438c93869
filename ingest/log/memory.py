"""A log in this process's memory: for tests, benchmarks, and trying things out. It forgets everything when it ends."""

from collections.abc import Sequence

from ingest.log import LogUnavailable
from ingest.log.partitioning import partition_number
from ingest.report import Entry, Extent, Partition, Position, StoredEntry


class MemoryLog:
    """A `Log` whose entries live as long as the object. `partitions` is the number per topic."""

    def __init__(self, *, partitions: int = 1) -> None:
        if partitions < 1:
            raise ValueError(f"a topic needs at least 1 partition, not {partitions}")
        self._partitions_per_topic = partitions
        self._stored: dict[Partition, list[StoredEntry]] = {}
        self._closed = False
        self.commits = 0
        self.entries = 0

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        """Stores the entries; nothing is awaited on the way, so that no other call can come between two of them."""
        self._refuse_when_closed()
        self.commits += bool(entries)
        self.entries += len(entries)
        return [self._store(entry) for entry in entries]

    def _store(self, entry: Entry) -> Position:
        partition = Partition(entry.topic, partition_number(entry.key, self._partitions_per_topic))
        stored = self._stored.setdefault(partition, [])
        position = Position(partition, len(stored))
        stored.append(StoredEntry(position.offset, entry))
        return position

    async def probe(self) -> None:
        """Raises `LogUnavailable` once the log is closed; otherwise memory can always be written to."""
        self._refuse_when_closed()

    async def partitions(self) -> Sequence[Partition]:
        """Every partition that holds an entry; sorted."""
        self._refuse_when_closed()
        return sorted(self._stored)

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """As `LogReader.read`; here offsets are dense and begin at 0."""
        self._refuse_when_closed()
        first = max(after + 1, 0)
        return self._stored.get(partition, [])[first : first + max(limit, 0)]

    async def extent(self, partition: Partition) -> Extent:
        """As `LogReader.extent`; here nothing is ever taken away."""
        self._refuse_when_closed()
        return Extent(0, len(self._stored.get(partition, [])))

    async def close(self) -> None:
        """Lets go of every entry."""
        self._closed = True
        self._stored = {}

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")
