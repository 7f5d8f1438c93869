"""Small SQLite files that hold the gate's own state: the tokens, and the index of the pseudonym keys.

Rules:

* a file is readable by its owner alone (0600), and so are SQLite's companions, which copy its mode;
* a file appears whole or not at all: it is made beside its place and linked in, so that two processes that start at the
  same moment agree on one file, and none ever sees half a schema;
* write-ahead logging, because the gate reads while a command writes and must not wait for it;
* `synchronous = FULL`: what a command reports as done is done after a power failure as well;
* `user_version` names the schema, and a file made by a newer program is refused, not guessed at.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

BUSY_SECONDS = 5.0
"""How long a writer waits for another one. A write here takes milliseconds; a wait of seconds means a stuck process."""


class StateFileError(Exception):
    """A file of the gate's state cannot be used; the message says which, why, and what to do."""


def open_state(path: Path, *, version: int, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode to an existing file with the schema `version`; raises `StateFileError`."""
    try:
        return _open(path, version, busy_seconds)
    except sqlite3.Error as error:
        raise StateFileError(
            f"{path} cannot be opened ({error}); if it is damaged, restore it from a backup while the gate is stopped"
        ) from None


def create_state(path: Path, *, schema: str) -> None:
    """Make the file and its folder (0700) unless they are there; `schema` is SQL that also sets `user_version`.

    Raises `StateFileError` where the folder cannot be written.
    """
    if path.exists():
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = create_private(path.parent)
        try:
            with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(schema)
            with suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink()
        sync_directory(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise StateFileError(
            f"{path} cannot be made ({error}); check the folder's owner, rights and free space"
        ) from None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction that holds SQLite's lock from its first statement; rolled back when its body raises."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


def create_private(directory: Path, content: bytes = b"") -> Path:
    """A new file (0600) of a name of its own in `directory`, with `content` on disk; raises OSError."""
    draft = directory / f".draft-{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return draft


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power failure; raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path, version: int, busy_seconds: float) -> sqlite3.Connection:
    # mode=rw: a missing file is an error here, not an empty database that knows no token and no destroyed key.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=busy_seconds,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found != version:
            raise StateFileError(
                f"{path} has the schema version {found} and this program knows {version}; "
                "use the tidegate that made the file, or a newer one"
            )
    except BaseException:  # whatever went wrong, the connection must not stay open behind it
        connection.close()
        raise
    return connection
