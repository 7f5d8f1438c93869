"""The writing half of the embedded log, on its one thread: batches of calls into transactions.

Rules held here:

* one transaction per batch: every call in it is stored, or none;
* what is remembered between batches (topics, partitions, newest offsets) is forgotten whenever a transaction fails,
  and read again from the file, which is the truth;
* after any error other than a full disk the connection is not used again: what a failed fsync left behind cannot be
  known, so the file is opened and settled anew before the next entry (`sqlite_file.open_writer`).
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NoReturn

from ingest.failpoint import reached
from ingest.log.checksum import checksum
from ingest.log.header_block import encode
from ingest.log.placement import Placement
from ingest.log.sqlite_file import is_full, names_damaged, open_writer, raise_as_failed_commit, raise_as_ours
from ingest.report import Entry, Position

Row = tuple[int, int, int, bytes, bytes | None, bytes, int]

INSERT = 'INSERT INTO entries (partition, "offset", "timestamp", "key", headers, value, checksum) VALUES '
ROW = "(?, ?, ?, ?, ?, ?, ?)"

ROWS_PER_STATEMENT = (256, 64, 16, 4, 1)
"""Few different texts, so that each is prepared once. Python lets go of its interpreter lock for every step of a
statement and the event loop takes it: with a row per step a batch of 256 waited 256 times to get it back."""

INSERTS = {rows: INSERT + ", ".join([ROW] * rows) for rows in ROWS_PER_STATEMENT}


class SqliteWriter:
    """Writes to the log in `directory`. Every method runs on the same thread, and none of them concurrently."""

    def __init__(self, directory: Path, *, partitions: int) -> None:
        self._directory = directory
        self._partitions_of_new_topic = partitions
        self._connection: sqlite3.Connection | None = None
        self._placement: Placement | None = None
        self.commits = 0
        self.entries = 0

    def open(self) -> sqlite3.Connection:
        """The open connection, opened first if need be; raises as `open_writer`."""
        if self._connection is None:
            self._connection = open_writer(self._directory)
        return self._connection

    def write(self, calls: Sequence[Sequence[Entry]]) -> list[list[Position]]:
        """Stores the entries of all calls in one commit; raises `LogUnavailable`, `StorageFull` or `InDoubt`."""
        rows: list[Row] = []
        with self._transaction() as connection:
            placement = self._placed_on(connection)
            positions = [[_place(entry, placement, rows) for entry in call] for call in calls]
            rows.sort()  # by partition and offset, which no two share: each page is written once, not by turns
            _insert(rows, connection)
            reached("gate.appended")
        self.commits += 1
        self.entries += len(rows)
        return positions

    def probe(self) -> None:
        """Commits a write that no reader looks at; raises as `write`."""
        with self._transaction() as connection:
            connection.execute("UPDATE probe SET probes = probes + 1")

    def close(self) -> None:
        """Closes the connection; SQLite settles the write-ahead log if nobody else has the file open."""
        connection, self._connection, self._placement = self._connection, None, None
        if connection is not None:
            # What was acknowledged is in the write-ahead log whether or not the copying succeeds.
            with suppress(sqlite3.Error):
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        fail: Callable[[sqlite3.Error], NoReturn] = raise_as_ours
        try:
            connection = self.open()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            fail = raise_as_failed_commit
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover_from(error)
            fail(error)
        except UnicodeDecodeError:  # a topic's name was damaged; the exception carries what was read
            self.close()
            raise names_damaged(self._directory) from None
        except BaseException:  # a fault of ours goes on to the callers; half a transaction must not stay open behind it
            self.close()
            raise

    def _recover_from(self, error: sqlite3.Error) -> None:
        """Leaves the writer so that the next batch begins on firm ground."""
        self._placement = None
        if is_full(error) and self._connection is not None:
            # Kept open: on a full disk a new connection may lack the room for its -shm file.
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                return
        self.close()

    def _placed_on(self, connection: sqlite3.Connection) -> Placement:
        if self._placement is None:
            self._placement = Placement.from_file(connection, self._partitions_of_new_topic)
        return self._placement


def _place(entry: Entry, placement: Placement, rows: list[Row]) -> Position:
    """Adds the entry's row to `rows` and says where it will be."""
    end = placement.end(entry.topic, entry.key)
    offset = end.next_offset()
    key, headers, value = entry.key, encode(entry.headers), entry.value
    checked = checksum(end.partition, offset, timestamp=entry.timestamp, key=key, headers=headers, value=value)
    rows.append((end.row, offset, entry.timestamp, key, headers, value, checked))
    return Position(end.partition, offset)


def _insert(rows: Sequence[Row], connection: sqlite3.Connection) -> None:
    done = 0
    for size, insert in INSERTS.items():
        while len(rows) - done >= size:
            connection.execute(insert, list(chain.from_iterable(rows[done : done + size])))
            done += size
