"""The embedded log: a SQLite file in a directory, one writer, readers in any number of processes on the same machine.

How it is built, from the caller to the disk:

    EmbeddedLog.append -> group_commit (event loop) -> sqlite_writer (its one thread) -> sqlite_file (opening, errors)

What it promises beyond the interface: a second writer on the same directory is refused, files are readable by their
owner alone (0600 in a directory made with 0700), and a file that is not a tidegate log of this format is left alone.
docs/adr/0004-embedded-log-is-sqlite.md says why SQLite, and what was measured.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ingest.log import InDoubt, LogDamaged, LogUnavailable
from ingest.log.checksum import StoredRow, checked, left_out
from ingest.log.group_commit import AppendLimits, GroupCommit
from ingest.log.header_block import decode
from ingest.log.partition_stats import PartitionStats
from ingest.log.sqlite_file import (
    CannotOpenLog,
    DirectoryLock,
    create_private,
    names_damaged,
    open_reader,
    raise_as_ours,
    statement,
)
from ingest.log.sqlite_writer import SqliteWriter
from ingest.log.stored import stored_entry
from ingest.report import Entry, Extent, Partition, Position, StoredEntry

__all__ = ["AppendLimits", "CannotOpenLog", "EmbeddedLog", "EmbeddedLogReader", "PartitionStats"]

T = TypeVar("T")

READ_ENTRIES = statement("read_entries")
PARTITION_STATS = statement("partition_stats")
OFFSET_BEFORE_NEWEST = statement("offset_before_newest")
EXTENT = statement("extent")


class EmbeddedLogReader:
    """A `LogReader` of the log in `directory`, whose writer may live in another process, or be gone.

    Nothing is opened before the first call. While there is no log in the directory, calls raise `LogUnavailable`; if
    what is there cannot be read by this release, `CannotOpenLog`, which is one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-reader")
        self._connection: sqlite3.Connection | None = None
        self._rows: dict[Partition, int] = {}
        self._closed = False

    async def partitions(self) -> Sequence[Partition]:
        """Every partition that holds, or held, an entry; sorted."""
        return await self._on_thread(self._read_partitions)

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """As `LogReader.read`."""
        return await self._on_thread(lambda: self._read(partition, after, limit))

    async def extent(self, partition: Partition) -> Extent:
        """As `LogReader.extent`."""
        return await self._on_thread(lambda: self._read_extent(partition))

    async def stats(self) -> Sequence[PartitionStats]:
        """What each partition that is not empty holds now, sorted; looks at every entry, so it takes a while."""
        return await self._on_thread(self._read_stats)

    async def before_newest(self, partition: Partition, *, entries: int) -> int:
        """The offset after which `partition` holds its newest `entries` entries; -1 if it has no more than that."""
        return await self._on_thread(lambda: self._before_newest(partition, entries))

    async def close(self) -> None:
        """Closes the file; a read that is running ends first."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
            self._executor.shutdown(wait=False)

    async def _on_thread(self, query: Callable[[], T]) -> T:
        if self._closed:
            raise LogUnavailable("the log is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._guarded, query)

    def _guarded(self, query: Callable[[], T]) -> T:
        try:
            return query()
        except sqlite3.Error as error:
            self._disconnect()  # the next call opens the file anew
            raise_as_ours(error)
        except UnicodeDecodeError:  # it carries what was read
            self._disconnect()
            raise names_damaged(self._directory) from None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_reader(self._directory)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._rows.clear()
        if connection is not None:
            connection.close()

    def _read_partitions(self) -> Sequence[Partition]:
        found = self._connected().execute("SELECT topic, number, id FROM partitions").fetchall()
        if not all(isinstance(topic, str) and isinstance(number, int) for topic, number, _ in found):
            raise names_damaged(self._directory)
        self._rows = {Partition(topic, number): row for topic, number, row in found}
        return sorted(self._rows)

    def _read_stats(self) -> Sequence[PartitionStats]:
        return [
            PartitionStats(Partition(topic, number), *counted)
            for topic, number, *counted in self._connected().execute(PARTITION_STATS)
        ]

    def _row(self, partition: Partition) -> int | None:
        """The id of the partition's row in the file; None while it has none."""
        if partition not in self._rows:
            self._read_partitions()
        return self._rows.get(partition)

    def _before_newest(self, partition: Partition, entries: int) -> int:
        row = self._row(partition)
        found = self._connected().execute(OFFSET_BEFORE_NEWEST, {"partition": row, "entries": entries}).fetchone()
        return -1 if found is None else int(found[0])

    def _read_extent(self, partition: Partition) -> Extent:
        return Extent(*self._connected().execute(EXTENT, {"partition": self._row(partition)}).fetchone())

    def _read(self, partition: Partition, after: int, limit: int) -> Sequence[StoredEntry]:
        entries: list[StoredEntry] = []
        try:
            for row in self._whole_rows(partition, after, limit):
                fields = (partition.topic, row.key, row.value, row.timestamp, decode(row.headers))
                entries.append(stored_entry(row.offset, fields))
        except LogDamaged:
            if not entries:  # else what stands before it is served, and the next read finds it in the first place
                raise
        return entries

    def _whole_rows(self, partition: Partition, after: int, limit: int) -> Iterator[StoredRow]:
        """The rows that `read` asks for; raises `LogDamaged` where one is damaged, or left out between or behind them.

        Offsets are dense: nothing is deleted but from the beginning. A page of the file may be damaged so that a walk
        along it ends early; the way to the newest row is another one, and both have to end at the same.
        """
        connection, row = self._connected(), self._row(partition)
        connection.execute("BEGIN")  # both of one moment, whoever appends
        try:
            asked = {"partition": row, "after": after, "limit": max(limit, 0)}
            found = connection.execute(READ_ENTRIES, asked).fetchall()
            end = connection.execute(EXTENT, {"partition": row}).fetchone()[1] if len(found) < limit else None
        finally:
            connection.execute("COMMIT")
        last = found[0][0] - 1 if found else after
        for columns in found:
            if columns[0] != last + 1:
                raise left_out(partition, last + 1)
            yield checked(partition, columns)
            last = columns[0]
        if end is not None and end > last + 1:
            raise left_out(partition, last + 1)


class EmbeddedLog:
    """The `Log` in `directory`, which is made if need be. `partitions` is the number that new topics get.

    Raises `CannotOpenLog` when another process writes there or the file is not ours, another `LogUnavailable` when the
    storage fails. Construction blocks until the file is open and settled; `append` belongs to one event loop.
    """

    def __init__(self, directory: Path, *, partitions: int = 1, limits: AppendLimits | None = None) -> None:
        if partitions < 1:
            raise ValueError(f"a topic needs at least 1 partition, not {partitions}")
        self._limits = limits or AppendLimits()
        create_private(directory)
        self._lock = DirectoryLock(directory)
        self._writer = SqliteWriter(directory, partitions=partitions)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-writer")
        try:
            self._executor.submit(self._writer.open).result()
        except BaseException:  # whatever it was, it goes on; the directory must be free for the next attempt
            self._executor.shutdown()
            self._lock.release()
            raise
        self._group = GroupCommit(self._writer.write, executor=self._executor, limits=self._limits)
        self._reader = EmbeddedLogReader(directory)
        self._closed = False

    @property
    def commits(self) -> int:
        """As `Log.commits`."""
        return self._writer.commits

    @property
    def entries(self) -> int:
        """As `Log.entries`."""
        return self._writer.entries

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        """As `Log.append`; entries of concurrent calls share a commit."""
        self._refuse_when_closed()
        return await self._group.append(entries) if entries else []

    async def probe(self) -> None:
        """As `Log.probe`: a commit of its own, in turn with the others."""
        self._refuse_when_closed()
        try:
            async with asyncio.timeout(self._limits.seconds):
                await asyncio.get_running_loop().run_in_executor(self._executor, self._writer.probe)
        except (TimeoutError, InDoubt):
            raise LogUnavailable("the log did not confirm a write") from None

    async def partitions(self) -> Sequence[Partition]:
        """As `LogReader.partitions`."""
        return await self._reader.partitions()

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """As `LogReader.read`."""
        return await self._reader.read(partition, after=after, limit=limit)

    async def extent(self, partition: Partition) -> Extent:
        """As `LogReader.extent`."""
        return await self._reader.extent(partition)

    async def close(self) -> None:
        """Refuses new appends, answers those that wait, and lets the next writer in.

        Returns after the time that an append may take even if the disk hangs; the directory then stays locked until
        the process has ended.
        """
        if self._closed:
            return
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.seconds):
                await self._group.drain()
                await self._reader.close()
                await asyncio.get_running_loop().run_in_executor(self._executor, self._writer.close)
                self._lock.release()
        self._executor.shutdown(wait=False)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")
