"""The embedded log over a simulated disk: the real `GroupCommit`, with a disk under it that is slow, fails or is full.

`Disk` outlives processes. A commit on it is *written* (the kernel has it) and then *synced* (the disk has it). A reader
sees what was synced. When the machine loses its power, each commit that was only written may be gone, and those after
it with it, as of a file whose tail is torn; when only the process is killed the same may happen, for whoever opens the
file next cannot know what was confirmed to nobody.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ingest.log import InDoubt, LogUnavailable, StorageFull
from ingest.log.group_commit import AppendLimits, GroupCommit
from ingest.log.partitioning import partition_number
from ingest.report import Entry, Extent, Partition, Position, StoredEntry
from load.simulation.loop import Thread
from load.simulation.world import World

Commit = Sequence[tuple[Partition, StoredEntry]]

COMMIT_SECONDS = 0.004
"""What a commit takes on average."""

NEVER_NAP = 1e9
"""Seconds: the naps of `GroupCommit` are for threads that need the interpreter's lock, and here are none."""


@dataclass
class Disk:
    """What of the log is on the disk, and what ails it. `partitions` is the number per topic."""

    world: World
    partitions: int
    synced: dict[Partition, list[StoredEntry]] = field(default_factory=dict)
    written: list[Commit] = field(default_factory=list)
    full: bool = False
    failing: bool = False
    sync_fails: bool = False
    hung_until: float = 0.0
    seconds: float = COMMIT_SECONDS

    def commit_seconds(self) -> float:
        """How long the next commit takes: as long as the disk hangs, and then as it does on other days."""
        return max(0.0, self.hung_until - self.world.loop.time()) + self.world.short(self.seconds)

    def write(self, commit: Commit) -> None:
        """Hand a commit to the kernel; raises `LogUnavailable`, `StorageFull`."""
        if self.full:
            raise StorageFull("no space left")
        if self.failing:
            raise LogUnavailable("the disk failed")
        self.written.append(commit)

    def sync(self) -> None:
        """Have the disk keep what was written; raises `InDoubt`, and then nobody knows what it kept."""
        if self.sync_fails:
            raise InDoubt("the disk did not say that it has the entries")
        for commit in self.written:
            for partition, stored in commit:
                self.synced.setdefault(partition, []).append(stored)
        self.written.clear()

    def settle(self) -> None:
        """Open the file after whatever happened; what was only written is kept up to some commit, and gone from there.

        Raises `LogUnavailable` while the disk confirms nothing.
        """
        if self.failing or self.sync_fails:
            raise LogUnavailable("the file cannot be opened")
        if self.written:
            found = len(self.written)
            del self.written[self.world.chance.randint(0, found) :]
            self.world.say("disk: %d of %d commits that were not synced are there", len(self.written), found)
            self.sync()


class Writer:
    """What the log's one thread does, as `ingest.log.sqlite_writer.SqliteWriter` does it on a real disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._ends: dict[Partition, int] | None = None
        self.commits = 0
        self.entries = 0

    def write(self, calls: Sequence[Sequence[Entry]]) -> list[list[Position]]:
        """Stores the entries of all calls in one commit; raises `LogUnavailable`, `StorageFull` or `InDoubt`."""
        ends = self.open()
        commit: list[tuple[Partition, StoredEntry]] = []
        positions = [[self._place(entry, ends, commit) for entry in call] for call in calls]
        self._ends = None  # whatever happens from here on; the file is the truth
        self._disk.write(commit)
        self.sync()
        self._ends = ends
        self.commits += 1
        self.entries += len(commit)
        self._disk.world.say("disk: has %d more entries", len(commit))
        return positions

    def sync(self) -> None:
        """The end of a commit."""
        self._disk.sync()

    def probe(self) -> None:
        """A commit that no reader looks at; raises as `write`."""
        self.open()
        self._disk.write([])
        self.sync()

    def open(self) -> dict[Partition, int]:
        """Where each partition ends; raises `LogUnavailable`."""
        if self._ends is None:
            self._disk.settle()
            self._ends = {partition: len(stored) for partition, stored in self._disk.synced.items()}
        return self._ends

    def _place(self, entry: Entry, ends: dict[Partition, int], commit: list[tuple[Partition, StoredEntry]]) -> Position:
        partition = Partition(entry.topic, partition_number(entry.key, self._disk.partitions))
        offset = ends.get(partition, 0)
        ends[partition] = offset + 1
        commit.append((partition, StoredEntry(offset, entry)))
        return Position(partition, offset)


class DiskReader:
    """A `LogReader` of what is on the disk, in any process."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._closed = False

    async def partitions(self) -> Sequence[Partition]:
        """As `LogReader.partitions`."""
        await self._hop()
        return sorted(self._disk.synced)

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """As `LogReader.read`."""
        await self._hop()
        return self._disk.synced.get(partition, [])[after + 1 : after + 1 + limit]

    async def extent(self, partition: Partition) -> Extent:
        """As `LogReader.extent`."""
        await self._hop()
        return Extent(0, len(self._disk.synced.get(partition, ())))

    async def close(self) -> None:
        """As `LogReader.close`."""
        self._closed = True

    async def _hop(self) -> None:
        """To the thread that reads and back, which takes a while now and then."""
        world = self._disk.world
        if self._closed:
            raise LogUnavailable("the log is closed")
        if world.likely(0.1):
            await asyncio.sleep(world.short(0.01))
        if self._disk.failing and world.likely(0.5):
            raise LogUnavailable("the disk failed")


class DiskLog(DiskReader):
    """A `Log` on the disk, for one gate; as `ingest.log.embedded.EmbeddedLog`. Raises `LogUnavailable` if it cannot."""

    def __init__(self, disk: Disk, writer: Writer, *, limits: AppendLimits) -> None:
        super().__init__(disk)
        writer.open()
        self._writer = writer
        self._limits = limits
        self._executor = Thread(disk.commit_seconds)
        self._group = GroupCommit(writer.write, executor=self._executor, limits=limits, give_way_every=NEVER_NAP)

    @property
    def commits(self) -> int:
        """As `Log.commits`."""
        return self._writer.commits

    @property
    def entries(self) -> int:
        """As `Log.entries`."""
        return self._writer.entries

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        """As `Log.append`."""
        self._refuse_when_closed()
        return await self._group.append(entries) if entries else []

    async def probe(self) -> None:
        """As `Log.probe`."""
        self._refuse_when_closed()
        try:
            async with asyncio.timeout(self._limits.seconds):
                await asyncio.get_running_loop().run_in_executor(self._executor, self._writer.probe)
        except (TimeoutError, InDoubt):
            raise LogUnavailable("the log did not confirm a write") from None

    async def close(self) -> None:
        """As `LogReader.close`, after what waits was answered."""
        if not self._closed:
            self._closed = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.seconds):
                    await self._group.drain()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")
