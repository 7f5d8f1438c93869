"""The queue's file: one transaction at a time, what SQLite's errors mean, and a new file where one is damaged.

* A connection lives for one transaction. So nothing is carried over a fork, and no process goes on in a file that
  another one has set aside: for as long as a transaction lasts it holds a shared lock on the directory, and whoever
  makes a file or sets one aside holds it alone.
* A rollback journal, no write-ahead log: what was deleted is then in no file at all once a transaction has ended, and
  a file that is set aside leaves nothing behind that SQLite would play into its successor.
* What SQLite sorts stays in memory: its temporary files would be outside of the directory.
* `synchronous = FULL`: what was put in is there after a power failure.
* The text of SQLite's errors never leaves; its name for them says as much and can hold no value.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from reporter.forking import FORKING
from reporter.queue.patience import PATIENCE
from reporter.queue.unavailable import Unavailable
from reporter.shipped import shipped

APPLICATION_ID = int.from_bytes(b"TdQu")
VERSION = 1
LATER_VERSIONS = range(VERSION + 1, 100)
"""Those of newer programs, whose files are left alone; a greater number was made by no program."""

TABLES = {"reports", "open_windows", "counts", "facts"}
DAMAGED = ".damaged-"

POLL_SECONDS = 0.01

MEANINGS = {
    "SQLITE_FULL": "disk_full",
    "SQLITE_IOERR_WRITE": "disk_full",  # a quota, or a limit on the size of files
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_CORRUPT": "damaged",
    "SQLITE_NOTADB": "damaged",
    "SQLITE_MISMATCH": "damaged",
    "SQLITE_ERROR": "damaged",  # the statements are right: a table is not as it was made
}


class _Damaged(Exception):
    """The file is not what this program wrote."""


class QueueFile:
    """The file at `path`, made when it is first used. Every method may raise `Unavailable`."""

    def __init__(self, path: Path, *, damaged_files: int) -> None:
        self._path = path
        self._damaged_files = damaged_files
        self._checked: tuple[int, int] | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes nothing."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes beside; it is taken back when its body raises."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def damaged(self) -> list[Path]:
        """The files that were set aside, oldest first."""
        found = self._path.parent.glob(f"{self._path.name}{DAMAGED}*")
        return sorted((file for file in found if _number(file)), key=_number)

    def is_in_damaged(self, mark: bytes) -> bool:
        """Whether these bytes are in a file that was set aside, or in its journal."""
        with _as_ours():
            files = [file for aside in self.damaged() for file in (aside, _journal(aside)) if file.exists()]
            return any(mark in file.read_bytes() for file in files)

    def remove_damaged(self, keep: int = 0) -> None:
        """Delete the files that were set aside, but for the newest `keep`."""
        with _as_ours():
            for file in self.damaged()[: -keep or None]:
                file.unlink(missing_ok=True)
                _journal(file).unlink(missing_ok=True)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        self._make_unless_there()
        with _as_ours():
            identity = _identity(self._path)
        try:
            with FORKING.held(), self._locked(fcntl.LOCK_SH), closing(self._opened()) as connection:
                connection.execute(begin)
                with connection:
                    yield connection
        except (sqlite3.Error, _Damaged) as error:
            reason = meaning(error)
            if reason == "damaged":
                self._set_aside(identity)
            raise Unavailable(reason) from None

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=PATIENCE.seconds(),
            check_same_thread=False,
        )
        try:
            connection.text_factory = _text
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            self._check(connection)
        except BaseException:  # whatever went wrong, the connection must not stay open behind it
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """All of the file once, and after that only whether it is still the same one."""
        with _as_ours():
            identity = _identity(self._path)
        if identity == self._checked:
            return
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application == APPLICATION_ID and version in LATER_VERSIONS:
            raise Unavailable("newer")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if application != APPLICATION_ID or version != VERSION or tables != TABLES:
            raise _Damaged
        if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise _Damaged
        self._checked = identity

    def _make_unless_there(self) -> None:
        if not self._path.exists():
            with self._locked(fcntl.LOCK_EX):
                if not self._path.exists():
                    self._make(damaged=0)

    def _make(self, *, damaged: int) -> None:
        """A new file, which appears whole; `damaged` is the number of the one that was set aside for it."""
        draft = self._path.with_name(f".{self._path.name}.new")
        try:
            with _as_ours():
                for stale in (draft, _journal(draft), _journal(self._path)):
                    stale.unlink(missing_ok=True)
                os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = OFF")
                connection.executescript(shipped("reporter.queue", "sql/schema.sql"))
                if damaged:
                    connection.execute("INSERT INTO counts VALUES ('queue_damaged', ?, 1)", (damaged,))
        except sqlite3.Error as error:
            raise Unavailable(meaning(error)) from None
        with _as_ours():
            draft.rename(self._path)
            self._sync()

    def _set_aside(self, identity: tuple[int, int]) -> None:
        """Put the file out of the way, unless somebody else did, and begin a new one."""
        with self._locked(fcntl.LOCK_EX):
            with _as_ours():
                if not self._path.exists() or _identity(self._path) != identity:
                    return
                number = max(map(_number, self.damaged()), default=0) + 1
                aside = self._path.with_name(f"{self._path.name}{DAMAGED}{number}")
                # The journal first: were it left beside a new file, SQLite would play it into that.
                if _journal(self._path).exists():
                    _journal(self._path).rename(_journal(aside))
                # Not renamed: whoever is killed here leaves the damaged file where it is found again, and no gap.
                aside.hardlink_to(self._path)
            self.remove_damaged(keep=self._damaged_files)
            self._make(damaged=number)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """The lock on the directory, which a process that dies leaves free."""
        with _as_ours():
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _wait_for(directory, how)
            yield
        finally:
            os.close(directory)

    def _sync(self) -> None:
        """Make the names in the directory survive a power failure."""
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (28, 122, 27)  # ENOSPC, EDQUOT, EFBIG
        raise Unavailable("disk_full" if full else "unwritable") from None


def _wait_for(directory: int, how: int) -> None:
    deadline = time.monotonic() + PATIENCE.seconds()
    while True:
        try:
            fcntl.flock(directory, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable("locked") from None
        except OSError:
            raise Unavailable("unwritable") from None
        time.sleep(POLL_SECONDS)


def meaning(error: Exception) -> str:
    """What an error of SQLite means, as one of the reasons of `Unavailable`."""
    if isinstance(error, _Damaged):
        return "damaged"
    name = getattr(error, "sqlite_errorname", None) or ""
    for beginning, reason in MEANINGS.items():
        if name == beginning or name.startswith(f"{beginning}_"):
            return reason
    return "unwritable"


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _number(file: Path) -> int:
    number = file.name.rpartition(DAMAGED)[2]
    return int(number) if number.isdigit() else 0


def _text(raw: bytes) -> str:
    # A damaged text is found by the checksum of its row, not by an error that carries it.
    return raw.decode("utf-8", "replace")
