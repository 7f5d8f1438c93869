"""What this device did, kept on it for its owner: how many tasks of each hour took which route, and why. Never sent.

    evidence = Evidence(directory.evidence, clock=clock)
    evidence.add(span.name, span.start_ms, span.tasks.tasks_by(DIMENSIONS))     # whoever closes a window, once
    evidence.since(at_ms)                                                       # `tidegate agent routes`

* Words of the schemas' closed lists, counts and whole hours: no name, no model, no number of a single task.
* It is kept for `KEPT_DAYS` by the device's clock, and in `MOST_ROWS` at most, oldest hours gone first. A clock that is
  set ahead by a month costs what was kept: the other way round it would be kept for longer than was promised.
* A file that cannot be read is removed and begun anew; `begun_ms` says since when there is one.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from reporter.clock import Clock
from reporter.forking import FORKING
from reporter.queue.file import meaning
from reporter.queue.patience import PATIENCE
from reporter.queue.unavailable import Unavailable
from reporter.shipped import shipped

DIMENSIONS = (
    "planned_route", "actual_route", "decision_reason", "fallback_reason", "consent", "disclosed", "data_class",
)  # fmt: skip
"""What tasks are counted by; all of them are closed lists of the schemas."""

KEPT_DAYS = 30
MOST_ROWS = 50_000
"""4 MiB. A busy person's hour has a few dozen combinations, so that the days run out first."""

VERSION = 1
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR

COUNT = f"""
INSERT INTO tasks (hour, {", ".join(DIMENSIONS)}, tasks) VALUES (?, {", ".join("?" * len(DIMENSIONS))}, ?)
ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks
"""  # noqa: S608  # no input in it
BEGIN = "INSERT INTO begun (hour) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM begun)"
TOO_MANY = "DELETE FROM tasks WHERE hour <= (SELECT hour FROM tasks ORDER BY hour DESC LIMIT 1 OFFSET ?)"
SINCE = f"SELECT hour, {', '.join(DIMENSIONS)}, tasks FROM tasks WHERE hour BETWEEN ? AND ? ORDER BY hour, tasks DESC"  # noqa: S608  # as above


class Seen(NamedTuple):
    """Tasks of one hour that were alike; `hour_ms` is its beginning, UTC."""

    hour_ms: int
    planned_route: str
    actual_route: str
    decision_reason: str
    fallback_reason: str
    consent: str
    disclosed: str
    data_class: str
    tasks: int


class Evidence:
    """The file at `path`, made when it is first used, for any number of processes. May raise `Unavailable`."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def add(self, window: str, start_ms: int, tasks: Mapping[tuple[str, ...], int]) -> None:
        """Counts the tasks of a window, by `DIMENSIONS`; the same window again is not counted again."""
        if not tasks:
            return
        try:
            self._add(window, start_ms - start_ms % MS_PER_HOUR, tasks)
        except Unavailable as failure:
            if failure.reason != "damaged":
                raise
            # It was removed, and there is a place for a new one.
            self._add(window, start_ms - start_ms % MS_PER_HOUR, tasks)

    def since(self, at_ms: int) -> list[Seen]:
        """What was counted from the hour of that time on, oldest first."""
        low, high = self._bounds()
        with self._transaction("BEGIN") as connection:
            asked = (max(low, at_ms - at_ms % MS_PER_HOUR), high)
            return [Seen(*row) for row in connection.execute(SINCE, asked)]

    def begun_ms(self) -> int | None:
        """The first hour that would be in it; None where nothing was counted yet."""
        with self._transaction("BEGIN") as connection:
            found = connection.execute("SELECT min(hour) FROM begun").fetchone()[0]
        return None if found is None else max(found, self._bounds()[0])

    def forget(self) -> int:
        """Removes everything, at the wish of the owner; how many hours that was."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            hours: int = connection.execute("SELECT count(DISTINCT hour) FROM tasks").fetchone()[0]
            for table in ("tasks", "windows", "begun"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608  # as above
        return hours

    def _add(self, window: str, hour: int, tasks: Mapping[tuple[str, ...], int]) -> None:
        with self._transaction("BEGIN IMMEDIATE") as connection:
            self._let_go(connection)
            known = connection.execute("INSERT OR IGNORE INTO windows (name, hour) VALUES (?, ?)", (window, hour))
            if known.rowcount:
                connection.execute(BEGIN, (hour,))
                connection.executemany(COUNT, [(hour, *words, number) for words, number in tasks.items()])

    def _let_go(self, connection: sqlite3.Connection) -> None:
        for table in ("tasks", "windows"):
            connection.execute(f"DELETE FROM {table} WHERE hour NOT BETWEEN ? AND ?", self._bounds())  # noqa: S608  # as above
        connection.execute(TOO_MANY, (MOST_ROWS,))

    def _bounds(self) -> tuple[int, int]:
        """The hours that may be in it. Those of a clock that was far ahead are not."""
        now = self._clock.now_ms()
        return now - now % MS_PER_HOUR - KEPT_DAYS * MS_PER_DAY, now + MS_PER_DAY

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            with FORKING.held(), closing(self._opened()) as connection:
                connection.execute(begin)
                with connection:
                    yield connection
        except sqlite3.Error as error:
            reason = meaning(error)
            if reason == "damaged":
                self._remove()
            raise Unavailable(reason) from None
        except OSError:
            raise Unavailable("unwritable") from None

    def _opened(self) -> sqlite3.Connection:
        if not self._path.exists():
            # By SQLite itself it would be made as the umask says.
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=PATIENCE.seconds(), check_same_thread=False
        )
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise Unavailable("newer")
            if version < VERSION:
                connection.executescript(shipped("reporter", "sql/evidence.sql"))
        except BaseException:  # whatever went wrong, the connection must not stay open behind it
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        # The journal first: were it left beside a new file, SQLite would play it into that.
        for file in (self._path.with_name(f"{self._path.name}-journal"), self._path):
            with suppress(OSError):
                file.unlink(missing_ok=True)
