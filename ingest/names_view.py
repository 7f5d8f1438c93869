"""The names of the manifest in force, as the gate holds reports against them: in memory, replaced as a whole.

Rules:

* the store is looked at once a second, so a manifest takes effect within about a second of its time, whether it was put
  just now or long before;
* a store that cannot be read, or a manifest that this program does not understand, leaves the last good names in force,
  for as long as it lasts: a name that once became `other` in the log can never be had back, while a name too many costs
  nobody anything. For the same reason a gate does not start on a store that it cannot read;
* without any manifest there are no names, and every one that a device sends becomes `other`.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ingest.clock import Clock
from ingest.coarsen import Names
from ingest.operator_documents import SCHEMA_VERSION, schema_sql
from ingest.state_file import StateFileError, create_state, open_state
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from schemas.manifest import Manifest

LOOK_EVERY_SECONDS = 1.0
VIEW_BUSY_SECONDS = 0.05
"""The view runs in the gate's event loop; in WAL mode it waits for nobody but a process that recovers the file."""

NEWEST_MANIFEST = (
    "SELECT number, document FROM documents WHERE kind = 'manifest' AND in_force <= ?"
    " ORDER BY in_force DESC, number DESC LIMIT 1"
)
NO_MANIFEST = (0, "")


class NamesView:
    """The names in memory, for the gate; used from one event loop.

    Raises `StateFileError` on construction when the store is unusable.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        create_state(path, schema=schema_sql())
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._manifest: tuple[int, str] | None = None
        self._names: Names = {}
        try:
            self._read()
        except (OSError, sqlite3.Error, ValueError) as error:
            self.close()
            raise StateFileError(f"{path} cannot be read ({error}); restore it from a backup") from None

    def current(self) -> Names:
        """The names in force at the newest look that succeeded."""
        return self._names

    async def follow(self, apply: Callable[[Names], None]) -> None:
        """Hand the names to `apply` each time others come into force. Ends when it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            if self.look():
                apply(self._names)

    def look(self) -> bool:
        """Look at the store now; whether other names than before are in force."""
        was_readable, before = self._connection is not None, self._names
        try:
            self._read()
        except (OSError, sqlite3.Error, StateFileError, ValueError):
            self.close()
            if was_readable:
                log(Event.MANIFEST_UNREADABLE)
        return self._names is not before

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self) -> None:
        row = self._opened().execute(NEWEST_MANIFEST, (self._clock.now_ms(),)).fetchone() or NO_MANIFEST
        if row != self._manifest:  # the text as well: a restored file may have another document of that number
            number, document = row
            self._names = Manifest.model_validate_json(document).names() if number else {}
            self._manifest = row
            log(Event.MANIFEST_IN_FORCE, manifest=number, names=sum(map(len, self._names.values())))

    def _opened(self) -> sqlite3.Connection:
        """A connection to the file that is there now; it may be another one than a second ago."""
        status = self._path.stat()
        if self._connection is None or (status.st_dev, status.st_ino) != self._file:
            self.close()
            self._connection = open_state(self._path, version=SCHEMA_VERSION, busy_seconds=VIEW_BUSY_SECONDS)
            self._file = (status.st_dev, status.st_ino)
        return self._connection
