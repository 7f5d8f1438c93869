"""What the operator posts beside the policies, with the time from which it is in force: the manifest and the prices.

Rules:

* nothing is ever deleted or changed: an answer about last month goes by what was in force then. The file itself refuses
  an UPDATE and a DELETE;
* in force at a time is the document with the greatest `in_force` up to then; of two with the same, the later recorded;
* a document may be put with an `in_force` in the past, to mend a mistake: what was published stays as it was published;
* documents are kept as JSON, so that a program with other models can still read what an older one wrote.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ingest.clock import Clock
from ingest.state_file import StateFileError, create_state, open_state, transaction

FILE_NAME = "operator.sqlite3"
SCHEMA_VERSION = 1

DocumentKind = Literal["manifest", "prices"]

SELECT_DOCUMENTS = "SELECT number, kind, recorded, in_force, document FROM documents"


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """One document as it was put; times in milliseconds since the epoch, UTC. Numbers count within a kind, from 1."""

    number: int
    kind: DocumentKind
    recorded: int
    in_force: int
    document: dict[str, Any]


class OperatorDocuments:
    """The documents on disk. Raises `StateFileError` on construction and from every method when the file is unusable.

    Each method is one transaction; call it from one thread at a time.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        create_state(path, schema=schema_sql())
        self._path = path
        self._clock = clock
        self._connection = open_state(path, version=SCHEMA_VERSION)

    def close(self) -> None:
        self._connection.close()

    def put(self, kind: DocumentKind, document: dict[str, Any], in_force_ms: int) -> DocumentVersion:
        """Record `document` as in force from `in_force_ms` on.

        Where the very same document is in force at that time, nothing is recorded, and the version of it is returned
        that was there: its `recorded` lies before the call.
        """
        with self._usable(), transaction(self._connection):
            standing = self._in_force(kind, in_force_ms)
            if standing is not None and standing.document == document:
                return standing
            (last,) = self._connection.execute(
                "SELECT coalesce(max(number), 0) FROM documents WHERE kind = ?", (kind,)
            ).fetchone()
            version = DocumentVersion(last + 1, kind, self._clock.now_ms(), in_force_ms, document)
            self._connection.execute(
                "INSERT INTO documents (kind, number, recorded, in_force, document) VALUES (?, ?, ?, ?, ?)",
                (kind, version.number, version.recorded, in_force_ms, json.dumps(document)),
            )
        return version

    def history(self, kind: DocumentKind) -> list[DocumentVersion]:
        """Every version, in the order in which they come into force; of two at one moment the last one counts."""
        with self._usable():
            rows = self._connection.execute(f"{SELECT_DOCUMENTS} WHERE kind = ? ORDER BY in_force, number", (kind,))
            return [_version(row) for row in rows]

    def in_force(self, kind: DocumentKind, at_ms: int) -> DocumentVersion | None:
        """The version that is in force at `at_ms`; None before the first."""
        with self._usable():
            return self._in_force(kind, at_ms)

    def _in_force(self, kind: DocumentKind, at_ms: int) -> DocumentVersion | None:
        row = self._connection.execute(
            f"{SELECT_DOCUMENTS} WHERE kind = ? AND in_force <= ? ORDER BY in_force DESC, number DESC LIMIT 1",
            (kind, at_ms),
        ).fetchone()
        return None if row is None else _version(row)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, json.JSONDecodeError) as error:
            raise StateFileError(
                f"{self._path} cannot be used ({error}); if it is damaged, restore it from a backup"
            ) from None


def schema_sql() -> str:
    """The SQL that makes the documents' table."""
    return resources.files("ingest").joinpath("operator_documents.sql").read_text(encoding="utf-8")


def _version(row: tuple[int, DocumentKind, int, int, str]) -> DocumentVersion:
    number, kind, recorded, in_force, document = row
    return DocumentVersion(number, kind, recorded, in_force, json.loads(document))
