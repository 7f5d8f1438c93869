"""The operator's documents, manifest and prices, as tables that the measures join.

Rules:

* the tables are made anew from the whole history with every publication; what they say about an hour that was published
  changes nothing of it, except as late data would (docs/adr/0013-publication.md);
* a document is in force from its time until that of the next one; where two have the same time, the later number is;
* within one document a key has one row: a second one would count tasks, and the evidence of devices, twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from ingest.operator_documents import DocumentKind, DocumentVersion
from schemas.manifest import Manifest
from schemas.prices import Prices

TABLES: Mapping[str, tuple[str, ...]] = {
    "named_models": ("model",),
    "wanted": ("model", "region", "version", "share"),
    "revoked": ("model", "version"),
    "prices": ("route", "model", "input_micro", "output_micro", "currency"),
}
"""The columns of each table but the times."""

KEY_LENGTH: Mapping[str, int] = {"named_models": 1, "wanted": 3, "revoked": 2, "prices": 2}
"""How many of the first columns a document has one row of."""

Row = tuple[Any, ...]


class Documents(Protocol):
    """Where the operator's documents are kept; `ingest.operator_documents.OperatorDocuments` is one."""

    def history(self, kind: DocumentKind) -> Sequence[DocumentVersion]:
        """Every version of a kind of document."""
        ...


def write_operator_tables(connection: duckdb.DuckDBPyConnection, documents: Documents) -> int | None:
    """Fills the tables within the caller's transaction.

    Returns from when on (milliseconds since the epoch, UTC) they say more than at the time before; None if they do not.
    """
    kinds: tuple[DocumentKind, ...] = ("manifest", "prices")
    histories = {kind: documents.history(kind) for kind in kinds}
    earliest = _earliest_new(connection, histories)
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    for kind, history in histories.items():
        for version, times in _in_force(history):
            for table, row in _rows(kind, version.document):
                rows[table].append((*row, *times))
    for table, columns in TABLES.items():
        _replace(connection, table, (*columns, "from_ms", "until_ms"), rows[table])
    known = [(kind, version.number) for kind, history in histories.items() for version in history]
    _replace(connection, "operator_documents", ("kind", "number"), known)
    return earliest


def _earliest_new(
    connection: duckdb.DuckDBPyConnection, histories: Mapping[DocumentKind, Sequence[DocumentVersion]]
) -> int | None:
    known = set(connection.execute("SELECT kind, number FROM operator_documents").fetchall())
    return min(
        (
            version.in_force
            for kind, history in histories.items()
            for version in history
            if (kind, version.number) not in known
        ),
        default=None,
    )


def _in_force(history: Sequence[DocumentVersion]) -> Iterator[tuple[DocumentVersion, tuple[int, int | None]]]:
    ordered = sorted(history, key=lambda version: (version.in_force, version.number))
    ends: list[int | None] = [version.in_force for version in ordered[1:]]
    yield from zip(ordered, zip((version.in_force for version in ordered), [*ends, None], strict=False), strict=False)


def _rows(kind: DocumentKind, document: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    if kind == "manifest":
        manifest = Manifest.model_validate(document)
        yield from _unique("named_models", ((model.name,) for model in manifest.models))
        yield from _unique("wanted", manifest.wanted_rows())
        yield from _unique("revoked", manifest.revoked_rows())
    else:
        prices = Prices.model_validate(document)
        yield from _unique("prices", ((*row, prices.currency) for row in prices.rows()))


def _unique(table: str, rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    by_key = {tuple(row[: KEY_LENGTH[table]]): tuple(row) for row in rows}
    yield from ((table, row) for row in by_key.values())


def _replace(connection: duckdb.DuckDBPyConnection, table: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    connection.execute(f"DELETE FROM {table}")  # noqa: S608  # a name of this module
    if not rows:
        return
    connection.register("incoming", pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))))
    times = (
        "EXCLUDE (from_ms, until_ms), epoch_ms(from_ms::BIGINT) AS in_force, "
        "coalesce(epoch_ms(until_ms::BIGINT), TIMESTAMP 'infinity') AS until"
    )
    chosen = f"* {times if 'from_ms' in columns else ''}"
    connection.execute(f"INSERT INTO {table} BY NAME SELECT {chosen} FROM incoming")  # noqa: S608  # as above
    connection.unregister("incoming")
