"""The file of the embedded log: how it is made and opened, how one writer keeps others out, what SQLite's errors mean.

Rules held here:

* a file that another application or a newer tidegate made is refused before anything in it was changed;
* nothing is appended after an opening until all that the file held is in its main part and synced;
* an error says in the log's own words whether anything can have been stored. SQLite's text never leaves: its name for
  the error (`SQLITE_IOERR_FSYNC`) says as much and can hold no value.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

from ingest.log import InDoubt, LogDamaged, LogUnavailable, StorageFull

APPLICATION_ID = int.from_bytes(b"TdGt")
VERSION = 2
"""2: every entry has a checksum."""
FILE_NAME = "log.sqlite"
LOCK_NAME = "log.lock"

PAGE_BYTES = 8192
"""A row of more than a quarter of a page spills into pages of its own, and entries of 1 KB are common. Measured with
1,500 bytes of value and 200 of headers: 2,190 bytes of file per entry, where SQLite's default of 4096 took 4,670."""

BUSY_SECONDS = 5.0
"""How long SQLite waits for a lock. Only recovery after a crash takes one that a reader or the writer would meet."""


class CannotOpenLog(LogUnavailable):
    """There is no usable log until a person acts: the message says where, why, and what to do."""


def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return files("ingest.log").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


class DirectoryLock:
    """Keeps a second writer out of a directory, across processes, until it is released or the process ends."""

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise CannotOpenLog(
                f"{directory} is being written to by another process (pid {holder}), and a log has one writer: "
                "stop that process, or give this one a data directory of its own"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Lets the next writer in. The lock file stays: removing it would let two writers hold two different ones."""
        os.close(self._file)


def create_private(directory: Path) -> None:
    """Makes the directory (0700) and the empty database file (0600) where they do not exist yet, durably.

    SQLite gives its -wal and -shm files the mode of the database, so this is the only place that decides it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / FILE_NAME
    # Never opened when it exists: closing any descriptor of it would drop the POSIX locks that SQLite holds on it.
    if file.exists():
        return
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for changed in (directory, directory.parent):
        _sync_directory(changed)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_writer(directory: Path) -> sqlite3.Connection:
    """The writer's connection, for the calling thread alone; the caller holds the directory's lock.

    Raises `LogUnavailable`: `CannotOpenLog`, `StorageFull`, or itself when the storage fails.
    """
    file = directory / FILE_NAME
    with _closed_on_failure(file, f"{file.absolute().as_uri()}?mode=rw") as connection:
        new = _is_new(connection, file)
        if new:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if journal != "wal":
            raise CannotOpenLog(f"{directory} is on a file system without shared memory: put the log on a local disk")
        if new:
            connection.executescript(
                f"BEGIN; {statement('schema')} PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {VERSION}; COMMIT;"
            )
        # FULL: the write-ahead log is synced at every commit; that is what a 202 rests on.
        connection.execute("PRAGMA synchronous = FULL")
        # Without effect but on macOS, where fsync alone leaves the data in the drive's cache.
        connection.execute("PRAGMA fullfsync = ON")
        # A reader that stood still for long makes the write-ahead log grow; give the space back afterwards.
        connection.execute("PRAGMA journal_size_limit = 67108864")
        # What a killed process wrote but did not sync is readable now, and a failed fsync leaves pages that Linux
        # believes to be clean. Both are in the write-ahead log; copying it and syncing the copy settles them.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return connection


def open_reader(directory: Path) -> sqlite3.Connection:
    """A connection that can only read, for the calling thread alone, in the writer's process or another.

    Raises `CannotOpenLog`, or `LogUnavailable` while no writer has made the log yet.
    """
    file = directory / FILE_NAME
    if not file.exists():
        raise LogUnavailable(f"there is no log in {directory} yet: it appears when a gate is started on that directory")
    with _closed_on_failure(file, f"{file.absolute().as_uri()}?mode=ro") as connection:
        if _is_new(connection, file):
            raise LogUnavailable(f"the log in {directory} is being made: try again in a moment")
        return connection


@contextmanager
def _closed_on_failure(file: Path, uri: str) -> Iterator[sqlite3.Connection]:
    """A connection which is closed if the body raises; SQLite's errors become the log's."""
    try:
        # Measured and left at SQLite's defaults: a larger cache and rarer checkpoints change the CPU per entry by less
        # than a tenth, and rarer checkpoints make the longest append longer.
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
    except sqlite3.Error as error:
        raise_as_ours(error)
    try:
        yield connection
    except sqlite3.Error as error:
        connection.close()
        if _name(error) == "SQLITE_NOTADB":
            raise CannotOpenLog(f"{file} {_NOT_OURS}") from None
        raise_as_ours(error)
    except UnicodeDecodeError:  # it carries what was read
        connection.close()
        raise names_damaged(file.parent) from None
    except BaseException:  # whatever it was, it goes on; only the connection must not stay behind
        connection.close()
        raise


_NOT_OURS = "was not made by tidegate: give it a data directory of its own, or move that file away"


def _is_new(connection: sqlite3.Connection, file: Path) -> bool:
    """Whether the file is empty; raises `CannotOpenLog` when it is neither empty nor a log that we understand."""
    connection.execute("BEGIN")  # all of one moment: the writer may be making the log meanwhile
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    connection.execute("COMMIT")
    if not application and not version and not tables:
        return True
    if application != APPLICATION_ID:
        raise CannotOpenLog(f"{file} {_NOT_OURS}")
    if version != VERSION:
        raise CannotOpenLog(
            f"{file} has format {version} and this tidegate reads format {VERSION}: "
            "run the release of tidegate that wrote it, or a newer one"
        )
    return False


def raise_as_ours(error: sqlite3.Error) -> NoReturn:
    """Raises what an error *before* the commit means: nothing was stored."""
    if _name(error) == "SQLITE_FULL":
        raise StorageFull("no space left for the log: free some, or let retention delete more") from None
    raise LogUnavailable(f"the log's file could not be used ({_name(error)}); see the system's log") from None


def raise_as_failed_commit(error: sqlite3.Error) -> NoReturn:
    """Raises what an error *of* the commit means.

    The last thing written is the frame that makes a transaction whole, and then it is synced. If a write failed, that
    frame is missing and nothing was stored. If anything later failed, the frame may be found after a crash.
    """
    name = _name(error)
    if name.startswith("SQLITE_IOERR") and name != "SQLITE_IOERR_WRITE":
        raise InDoubt(f"the log's file could not be synced ({name}); see the system's log") from None
    raise_as_ours(error)


def names_damaged(directory: Path) -> LogDamaged:
    """What is raised where SQLite reads a name of a table or topic that is no text any more."""
    return LogDamaged(f"a name in {directory / FILE_NAME} is damaged: restore the log from its backup")


def is_full(error: sqlite3.Error) -> bool:
    """Whether the error says no more than that there was no space."""
    return _name(error) == "SQLITE_FULL"


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
