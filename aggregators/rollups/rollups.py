"""Read first: a batch of entries becomes rows, seen ids and offsets in one transaction, or nothing at all.

    open -> offsets -> apply, apply, ... -> close

Offsets are stored with what was counted, so whoever follows the log goes on behind them after any end, and nothing is
counted twice or lost. Sums do not depend on the order of partitions, nor on how the log was cut into batches, nor on
how often an entry was appended: rows are only ever added, and readers sum.
"""

import gc
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from duckdb import DuckDBPyConnection

from aggregators.database import (
    FILE_NAME,
    Database,
    RollupsDamaged,
    RollupsFailed,
    RollupsFull,
    RollupsInterrupted,
    RollupsInUse,
    RollupsOutOfReach,
    RollupsUnavailable,
    RollupsUntrusted,
    damaged,
    doubt,
    is_doubted,
    statements,
)
from aggregators.rollups.arrow import NUMBER, TEXT, TIME, Columns
from aggregators.rollups.load import Applied, load, pieces, prepare, read
from aggregators.rollups.relations import relation, run
from aggregators.rollups.seen import KEY_BYTES
from aggregators.rollups.stripped import Batch, StrippedRecords, hour_of_receipt
from ingest.failpoint import reached
from ingest.report import Partition

__all__ = [
    "Applied",
    "Rollups",
    "RollupsDamaged",
    "RollupsFailed",
    "RollupsFull",
    "RollupsInUse",
    "RollupsInterrupted",
    "RollupsOutOfReach",
    "RollupsUnavailable",
    "RollupsUntrusted",
]

FORMAT = 1
"""Rises with every change of a table. There is no migration: the log or a seal makes the tables anew."""

MAKE_TABLES = statements("tables")
ADDED = [text for text in MAKE_TABLES if "CREATE TABLE IF NOT EXISTS" in text]
"""Tables that came later, and that files of this format may lack."""
STORE_PROGRESS = statements("load/progress")

PROGRESS: Columns = {"topic": TEXT, "partition": NUMBER, "last": NUMBER, "received": TIME}


class Progress(NamedTuple):
    """How far a partition was applied: its last offset, and the greatest hour of receipt in it, in milliseconds."""

    last: int
    received: int


class Rollups:
    """The tables of `sql/tables.sql`. One thread at a time calls the methods that write; any may take a cursor."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._database = _opened(file)
        self._made: Rollups | None = None
        self.interruptions = 0

    @classmethod
    def open(cls, directory: Path) -> "Rollups":
        """The rollups in `directory`, made empty where there are none.

        Raises `RollupsDamaged` where the file is none that can be gone on with, one of another format included,
        `RollupsFull`, `RollupsOutOfReach`, `RollupsInUse`, or `RollupsFailed`. `directory` is `rollups` in the data
        directory.
        """
        return cls(directory / FILE_NAME)

    def reopen(self) -> None:
        """Close whatever is open and open it again: what to do after `RollupsFull` or `RollupsOutOfReach`, in a while.

        Every cursor of before is void. Raises as `open`, and `RollupsOutOfReach` while a query does not end.
        """
        self._database.close()
        self._database = _opened(self._file)

    def close(self) -> None:
        """Interrupt and close every cursor, and let go of the file. A second call does nothing."""
        self._database.close()

    def interrupt(self) -> None:
        """As `Database.interrupt`; what is made in the place of these is interrupted as well."""
        self.interruptions += 1
        self._database.interrupt()
        if (made := self._made) is not None:
            made.interrupt()

    @contextmanager
    def replaced_by(self, made: "Rollups") -> Iterator[None]:
        """In the body `interrupt` is for `made` too, which is to take the place of these."""
        self._made = made
        try:
            yield
        finally:
            self._made = None

    def checkpoint(self) -> None:
        """As `Database.checkpoint`."""
        self._database.checkpoint()

    def cursor(self) -> DuckDBPyConnection:
        """A cursor for one thread, to be closed after use (it is a context manager); it sees whole batches only."""
        return self._database.cursor()

    def doubt(self) -> None:
        """Mark the file as not to be trusted, as far as the disk lets anything be written."""
        doubt(self._file)

    @property
    def directory(self) -> Path:
        """Where the file is, and the seals beside it."""
        return self._file.parent

    def transaction(self) -> AbstractContextManager[DuckDBPyConnection]:
        """As `Database.transaction`: for sealing, and for filling new rollups."""
        return self._database.transaction()

    def errors(self) -> AbstractContextManager[None]:
        """As `Database.errors`."""
        return self._database.errors()

    def offsets(self) -> dict[Partition, int]:
        """The last offset of each partition that is in the tables."""
        return {partition: progress.last for partition, progress in self.progress().items()}

    def progress(self) -> dict[Partition, Progress]:
        """How far each partition is in the tables: where to go on.

        Raises `RollupsUntrusted` where an earlier process has marked the file: nobody goes on from it.
        """
        if is_doubted(self._file):
            raise RollupsUntrusted(
                f"{self._file} was on a disk that has failed, so that nobody knows what it holds: the next start of "
                f"`tidegate serve` makes it anew, or: tidegate rebuild --data {self.directory.parent}"
            )
        with self._database.errors(), self.cursor() as cursor:
            return _progress(cursor)

    def apply(self, batch: Batch, records: StrippedRecords) -> Applied:
        """Take a batch into the tables: all of it, or nothing.

        What cannot be read is parked; what `records` has no schema for cannot. So ask `records.unknown(batch)` first,
        and teach it. After any error, `offsets` says what is in the tables. Raises

        * `ValueError` if the batch holds what was applied already, or not in the order of offsets;
        * `RollupsFull` or `RollupsOutOfReach`, after which `reopen` is needed, and works once that has passed;
        * `RollupsUntrusted`, after which the file has to be made anew;
        * another `RollupsDamaged`, or `RollupsFailed`, when a person has to look.
        """
        if not any(entries for _, entries in batch):
            return Applied()
        with _collector_paused(), self._database.transaction() as connection:
            prepare(connection)
            progress = _further(_progress(connection), batch)
            key = _seen_key(connection)
            applied = Applied(entries=sum(len(entries) for _, entries in batch))
            for piece in pieces(batch):
                applied += load(connection, read(piece, records), key=key)
            _store(connection, progress)
            reached("follower.rolled_up")
        reached("follower.committed")
        return applied


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for cyclic garbage in the body: a batch is a million objects for a moment, and none is in a cycle.

    Each search would look at all of them: a twelfth of the time of a batch, and no other thread runs meanwhile.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _opened(file: Path) -> Database:
    """The database, with tables of this format in it."""
    database = Database(file)
    try:
        with database.transaction() as connection:
            tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            if not tables:
                _make_tables(connection)
            elif "about" not in tables:
                raise damaged(file, "holds other tables than rollups")
            _require_format(connection, file)
            run(connection, ADDED)
    except BaseException:  # whatever it was, it goes on; the file must not stay open
        database.close()
        raise
    return database


def _make_tables(connection: DuckDBPyConnection) -> None:
    run(connection, MAKE_TABLES)
    connection.execute("INSERT INTO about VALUES (?, ?, 0, 0)", [FORMAT, secrets.token_bytes(KEY_BYTES)])


def _require_format(connection: DuckDBPyConnection, file: Path) -> None:
    found = connection.execute("SELECT format FROM about").fetchall()
    if found != [(FORMAT,)]:
        named = ", ".join(f"format {number}" for (number,) in found) or "no format"
        raise damaged(file, f"has {named}, and this tidegate has format {FORMAT}")


def _seen_key(connection: DuckDBPyConnection) -> bytes:
    ((key,),) = connection.execute("SELECT seen_key FROM about").fetchall()
    return bytes(key)


def _progress(connection: DuckDBPyConnection) -> dict[Partition, Progress]:
    rows = connection.execute(
        'SELECT topic, "partition", last, coalesce(epoch_ms(received), 0) FROM offsets'
    ).fetchall()
    return {Partition(topic, number): Progress(last, received) for topic, number, last, received in rows}


def _further(known: dict[Partition, Progress], batch: Batch) -> dict[Partition, Progress]:
    """How far the partitions of the batch are once it is applied."""
    reached: dict[Partition, Progress] = {}
    for partition, entries in batch:
        last, received = reached.get(partition) or known.get(partition, Progress(-1, 0))
        for stored in entries:
            if stored.offset <= last:
                raise ValueError(f"offset {stored.offset} of partition {partition.number} was applied already")
            last, received = stored.offset, max(received, hour_of_receipt(stored.entry))
        reached[partition] = Progress(last, received)
    return reached


def _store(connection: DuckDBPyConnection, progress: dict[Partition, Progress]) -> None:
    rows = [
        {
            "topic": partition.topic,
            "partition": partition.number,
            "last": reached.last,
            "received": reached.received,
        }
        for partition, reached in progress.items()
    ]
    with relation(connection, "progress", PROGRESS, rows):
        run(connection, STORE_PROGRESS)
