"""One look at what is published: every query of an answer in one snapshot, and all of them within a time.

Rules held here:

* an answer reads one snapshot of the database, so that its cells, its counts and its publication belong together even
  when a publication is committed in the middle;
* what takes too long is interrupted: the rollups are read by the process that also writes them;
* values are bound as parameters. What stands in the text of a query comes from files of this package.
"""

import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from aggregators.answering.problems import Refusal, Refused
from aggregators.publication.cubes import prepare

MAX_SECONDS = 20.0
"""Of one answer, however many queries it takes; as long as a proxy is asked to wait (docs/operations.md)."""

INTERRUPT_EVERY_SECONDS = 0.05


class Reading:
    """A snapshot of the published cubes; the end of its `with` block closes the cursor. For one thread.

    Its methods raise `Refused` (too_slow) once `seconds` have passed since the beginning of the block.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, *, seconds: float = MAX_SECONDS) -> None:
        self._cursor = cursor
        self._seconds = seconds
        self._done = threading.Event()
        self._late = threading.Event()
        self._watch = threading.Thread(target=self._interrupt_when_late, name="answer-deadline", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._cursor.execute("BEGIN TRANSACTION READ ONLY")
            prepare(self._cursor)
        except duckdb.Error:
            self._cursor.close()
            raise Refused(Refusal.ROLLUPS_UNAVAILABLE) from None
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._watch.join()
        with suppress(duckdb.Error):  # an interrupted transaction is over already
            self._cursor.rollback()
        with suppress(duckdb.Error):  # the rollups may have been closed, and every cursor with them
            self._cursor.close()

    def table(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        """The rows of a query; `parameters` are those that it names, and no other."""
        if self._late.is_set():
            raise Refused(Refusal.TOO_SLOW)
        try:
            return self._cursor.sql(sql, params=dict(parameters)).to_arrow_table()
        except (duckdb.InterruptException, duckdb.ConnectionException):  # late, or the rollups were closed under it
            raise Refused(Refusal.TOO_SLOW if self._late.is_set() else Refusal.ROLLUPS_UNAVAILABLE) from None
        except duckdb.OutOfMemoryException:  # its text may repeat values
            raise Refused(Refusal.TOO_MANY_ROWS) from None

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query that has few."""
        rows: list[dict[str, Any]] = self.table(sql, parameters).to_pylist()
        return rows

    def _interrupt_when_late(self) -> None:
        self._done.wait(self._seconds)
        # Again and again: an interruption between two queries is forgotten by the next one.
        while not self._done.wait(INTERRUPT_EVERY_SECONDS):
            self._late.set()
            with suppress(duckdb.Error):  # as above
                self._cursor.interrupt()
