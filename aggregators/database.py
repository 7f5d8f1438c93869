"""The DuckDB file under the rollups: made, opened, written in transactions, closed whatever state it is in.

Rules held here:

* one process has the file; each thread has a cursor of its own;
* what DuckDB raises never leaves: its messages may quote a value. Our own say what is wrong and what to do;
* after a failed write DuckDB may refuse everything until the last cursor is closed and the file is opened again. So
  every cursor is known here, and `close` ends those that are in use by another thread, too;
* after a failed sync, whatever it failed for, or an input/output error nobody knows what of the file is on the disk.
  The kernel takes such pages for written, so that they read well until they are dropped: opening the file again proves
  nothing, and it must not be gone on with. A mark beside it (`doubt`) says so to the next process, if the disk lets it;
* what was committed may be beside the file only, and DuckDB closes it without a word if it cannot be taken in. Before a
  file is moved that has to be seen to (`checkpoint`).
"""

import errno
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

import duckdb
from duckdb import DuckDBPyConnection

from ingest.state_file import sync_directory

FILE_NAME = "rollups.duckdb"
DOUBTED_SUFFIX = ".doubted"
SPILT_SUFFIX = ".tmp"
"""The directory of what DuckDB has no memory for; nothing in it outlives a process."""

THREADS = 1
"""DuckDB then works in the thread that asks. Applying a batch is three parts Python and one part DuckDB, and answers
come in threads of their own: a pool of workers would take the cores from the gate, which may share the process."""

MEMORY_LIMIT = "1GB"
"""DuckDB's share; a batch of the largest reports takes 170 MB in all. What answers need beyond it goes to disk."""

CLOSE_SECONDS = 5.0
"""How long a query of another thread may take to notice that it was interrupted; it looks every few milliseconds."""

FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
NO_ROOM_TO_SPILL = "max_temp_directory_size"
LOCKED = "Could not set lock"
PASSES = tuple(os.strerror(code) for code in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.ESTALE))
NOT_SYNCED = ("fsync failed", "Could not fsync")
DISK_FAILED = tuple(os.strerror(code) for code in (errno.EIO, errno.EUCLEAN))
NOT_DAMAGE = (os.strerror(errno.EACCES), os.strerror(errno.EPERM))
"""What DuckDB's messages contain; its errors carry no number of the system's."""

STORAGE = (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException)
"""What a call to the system that failed comes as: when a file is opened, in a checkpoint, and in a commit."""

DAMAGE = (duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException, duckdb.IOException)


class RollupsUnavailable(Exception):
    """The rollups cannot be used: the message says why, and what to do. The log has all that they are made of."""


class RollupsFull(RollupsUnavailable):
    """There is no space left under the rollups. A transaction was stored whole or not at all; `offsets` tells which."""


class RollupsDamaged(RollupsUnavailable):
    """The file is not one that can be gone on with; `tidegate rebuild` makes it anew."""


class RollupsUntrusted(RollupsDamaged):
    """The system has failed to sync, write or read the file, so that nobody knows what it holds. The log does."""


class RollupsOutOfReach(RollupsUnavailable):
    """The system refuses a file to this process now, which passes. A transaction was stored whole or not at all."""


class RollupsInUse(RollupsUnavailable):
    """Another process has the file."""


class RollupsInterrupted(RollupsUnavailable):
    """What was being done was interrupted by `interrupt`, and nothing of it stays."""


class RollupsFailed(RollupsUnavailable):
    """DuckDB refused something for a reason that is none of the others: a fault of this program, or of the machine."""


def statements(name: str) -> list[str]:
    """The statements of `sql/<name>.sql`."""
    text = files("aggregators").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return [statement.query for statement in duckdb.extract_statements(text)]


class Database:
    """An open file; `file` is made where it does not exist."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._cursors: weakref.WeakSet[DuckDBPyConnection] = weakref.WeakSet()
        self._cursors_change = threading.Lock()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = self._open()
        # DuckDB makes it as the umask says, as it does the write-ahead log beside it, which comes and goes.
        file.chmod(0o600)

    def _open(self) -> DuckDBPyConnection:
        try:
            return duckdb.connect(
                self._file,
                # No extension is fetched from anywhere, for what is built in suffices.
                config={
                    "threads": THREADS,
                    "memory_limit": MEMORY_LIMIT,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        except duckdb.Error as error:
            self._refuse(error, damage=(duckdb.Error,))

    def cursor(self) -> DuckDBPyConnection:
        """A cursor for one thread, which reads as of the moment at which its statement (or transaction) begins.

        Close it after use, or use it as a context manager. It is interrupted and closed with the database.
        """
        with self.errors(), self._cursors_change:
            cursor = self._connection.cursor()
            self._cursors.add(cursor)
        return cursor

    @contextmanager
    def transaction(self) -> Iterator[DuckDBPyConnection]:
        """A cursor in a transaction, committed at the end of the body, or rolled back if that raises."""
        with self.errors(), self.cursor() as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException:  # whatever it was, it goes on, and nothing of the transaction stays
                _roll_back(cursor)
                raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """DuckDB's errors become ours."""
        try:
            yield
        except duckdb.Error as error:
            self._refuse(error, damage=DAMAGE)

    def _refuse(self, error: duckdb.Error, *, damage: tuple[type[duckdb.Error], ...]) -> NoReturn:
        text = str(error)
        if isinstance(error, duckdb.InterruptException):
            raise RollupsInterrupted(f"work on {self._file} was interrupted; nothing of it stays") from None
        if isinstance(error, STORAGE):
            _refuse_storage(self._file, text)
        if NO_ROOM_TO_SPILL in text or any(sign in text for sign in FULL):
            raise RollupsFull(
                f"no space left for the rollups in {self._file.parent}: free some; nothing is lost or counted twice"
            ) from None
        if LOCKED in text:
            raise RollupsInUse(
                f"{self._file} is open in another process, and rollups have one: stop that process, or give this one "
                "a data directory of its own"
            ) from None
        # A checksum that does not match comes as an error of no particular class.
        if (type(error) is duckdb.Error or isinstance(error, damage)) and not any(sign in text for sign in NOT_DAMAGE):
            raise damaged(self._file, "is damaged, or no file of DuckDB's") from None
        cause = next((sign for sign in NOT_DAMAGE if sign in text), type(error).__name__)
        raise RollupsFailed(f"{self._file} cannot be used: {cause}") from None

    def checkpoint(self) -> None:
        """Take what was committed into the file itself; without a transaction under way. Raises what that raises."""
        with self.errors(), self.cursor() as cursor:
            cursor.execute("CHECKPOINT")

    def interrupt(self) -> None:
        """Interrupt the statement that each cursor executes now; the one after it is not. For any thread."""
        with self._cursors_change:
            for cursor in list(self._cursors):
                with suppress(duckdb.Error):  # closed already
                    cursor.interrupt()

    def close(self) -> None:
        """Interrupt and close every cursor, and let go of the file, whose last changes are in it then.

        A second call does nothing.
        """
        with self._cursors_change:
            for cursor in [*self._cursors, self._connection]:
                _close(cursor)


def _refuse_storage(file: Path, text: str) -> None:
    """Raises what has to be told before a full disk is: one that shows only when the file is synced is no better."""
    failed = any(sign in text for sign in DISK_FAILED)
    ours = file.name in text.replace(file.name + SPILT_SUFFIX, "")
    if any(sign in text for sign in NOT_SYNCED) or (failed and ours):
        raise RollupsUntrusted(
            f"{file} could not be synced, written or read, so that nobody knows what it holds"
        ) from None
    if failed or any(sign in text for sign in PASSES):
        raise RollupsOutOfReach("a file of the rollups, or one made of them, cannot be opened or written now") from None


def damaged(file: Path, what: str) -> RollupsDamaged:
    """The error that says what is wrong with the file, and what repairs it."""
    return RollupsDamaged(
        f"{file} {what}: make it anew from the log with: tidegate rebuild --data {file.parent.parent}"
    )


def doubt(file: Path) -> None:
    """Mark a file as not to be trusted, for processes to come; the disk may not even let that be written."""
    with suppress(OSError):
        _doubted(file).touch(mode=0o600)
        sync_directory(file.parent)


def is_doubted(file: Path) -> bool:
    """Whether the file is marked."""
    return _doubted(file).exists()


def forget_doubt(file: Path) -> None:
    """Remove the mark: another file has the name."""
    _doubted(file).unlink(missing_ok=True)


def _doubted(file: Path) -> Path:
    return file.with_name(file.name + DOUBTED_SUFFIX)


def _roll_back(cursor: DuckDBPyConnection) -> None:
    try:
        cursor.rollback()
    except duckdb.Error:
        # A commit that failed has ended its transaction already, and after a fatal error there is none.
        return


def _close(cursor: DuckDBPyConnection) -> None:
    deadline = time.monotonic() + CLOSE_SECONDS
    while True:
        try:
            cursor.interrupt()
            cursor.close()
        except duckdb.ResourceInUseException:
            if time.monotonic() > deadline:
                raise RollupsOutOfReach("a query does not end, so that the rollups cannot be closed now") from None
            time.sleep(0.005)
        except duckdb.Error:
            # Closed already, or damaged beyond saying so: either way there is nothing more to let go of.
            return
        else:
            return
