"""One piece of a batch into the tables, within the transaction of whoever calls.

Pieces are cut by the bytes of their values, for a report may have 300 bytes or 65,000, and each becomes dicts and then
Arrow on its way, which take up to fifty times as much. Entries are read in Python, one by one; from there on everything
happens by the thousand in the statements of `sql/load/`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from duckdb import DuckDBPyConnection

from aggregators.database import statements
from aggregators.rollups.arrow import FLAG, NUMBER, REMARKS, ROWS, TEXT, TIME, UNSIGNED, Columns, columns_of, list_of
from aggregators.rollups.relations import relation, run
from aggregators.rollups.seen import Identity, duplicates, identities
from aggregators.rollups.stripped import (
    Batch,
    OutcomesRecord,
    StrippedRecord,
    StrippedRecords,
    Unreadable,
    WhyParked,
    hour_of_receipt,
)
from ingest.records import SCHEMAS_TOPIC
from ingest.report import Partition, StoredEntry

PIECE_BYTES = 1 << 20
"""2,600 usual reports. With a quarter of it a report costs a fifth more; twice as much gains nothing."""

PARKED: Columns = {
    "topic": TEXT,
    "partition": NUMBER,
    "offset": NUMBER,
    "reason": TEXT,
    "length": NUMBER,
    "received": TIME,
}
OUTCOMES: Columns = {
    "place": NUMBER,
    "received": TIME,
    "gate_id": TEXT,
    "sequence": NUMBER,
    "from_time": TIME,
    "to_time": TIME,
    "final": FLAG,
    "counts": list_of({"tier": TEXT, "outcome": TEXT, "count": NUMBER}),
}
WHAT: Columns = {
    "received": TIME,
    "hour": TIME,
    "tier": TEXT,
    "report": TEXT,
    "schema_version": NUMBER,
    "policy_version": NUMBER,
}
ARRIVALS: Columns = {**WHAT, "id": UNSIGNED, "duplicate": FLAG}
REMARKED: Columns = {**WHAT, **REMARKS}

LOAD_MACROS = statements("load/macros")
LOAD_PARKED = statements("load/parked")
LOAD_OUTCOMES = statements("load/outcomes")
LOAD_ARRIVALS = statements("load/arrivals")
LOAD_REMARKS = statements("load/remarks")
LOAD_REPORTS = {report: statements(f"load/{report}") for report in ROWS}

Place = tuple[Partition, StoredEntry]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the entries of a batch; `entries` counts those of the gates' own topics too."""

    entries: int = 0
    reports: int = 0
    duplicates: int = 0
    parked: int = 0

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(
            self.entries + other.entries,
            self.reports + other.reports,
            self.duplicates + other.duplicates,
            self.parked + other.parked,
        )

    def without(self, other: "Applied") -> "Applied":
        """What is left when `other` is taken away, and never less than nothing."""
        return Applied(
            max(0, self.entries - other.entries),
            max(0, self.reports - other.reports),
            max(0, self.duplicates - other.duplicates),
            max(0, self.parked - other.parked),
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """Entries as far as they could be read; what is not a report is in the columns of its relation already."""

    reports: list[StrippedRecord] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    parked: list[dict[str, Any]] = field(default_factory=list)


def pieces(batch: Batch) -> Iterator[list[Place]]:
    """The entries of `batch`, in their order, in pieces of about `PIECE_BYTES`."""
    piece: list[Place] = []
    size = 0
    for partition, entries in batch:
        for stored in entries:
            piece.append((partition, stored))
            size += len(stored.entry.value)
            if size >= PIECE_BYTES:
                yield piece
                piece, size = [], 0
    if piece:
        yield piece


def read(places: Sequence[Place], records: StrippedRecords) -> Piece:
    """What the entries say. Those of the topic of schemas say nothing that is counted."""
    piece = Piece()
    for partition, stored in places:
        if partition.topic == SCHEMAS_TOPIC:
            continue
        try:
            record = records.read(stored.entry)
        except Unreadable as unreadable:
            piece.parked.append(_parked(partition, stored, unreadable.reason))
            continue
        if isinstance(record, OutcomesRecord):
            piece.outcomes.append({**record.values, "place": stored.offset, "received": record.received})
        else:
            piece.reports.append(record)
    return piece


def _parked(partition: Partition, stored: StoredEntry, reason: WhyParked) -> dict[str, Any]:
    return {
        "topic": partition.topic,
        "partition": partition.number,
        "offset": stored.offset,
        "reason": reason.value,
        "length": len(stored.entry.value),
        "received": hour_of_receipt(stored.entry),
    }


def prepare(connection: DuckDBPyConnection) -> None:
    """What `load` needs of a cursor; once, before the first piece."""
    run(connection, LOAD_MACROS)


def load(connection: DuckDBPyConnection, piece: Piece, *, key: bytes) -> Applied:
    """Put a piece into the tables; `key` is that of the hashes of ids."""
    _load_rows(connection, LOAD_PARKED, "unreadable", PARKED, piece.parked)
    _load_rows(connection, LOAD_OUTCOMES, "outcomes", OUTCOMES, piece.outcomes)
    known_by = identities(piece.reports, key=key)
    again = duplicates(connection, known_by)
    _load_arrivals(connection, piece.reports, known_by, again)
    first = [record for record, duplicate in zip(piece.reports, again, strict=True) if not duplicate]
    _load_reports(connection, first)
    return Applied(reports=len(first), duplicates=len(piece.reports) - len(first), parked=len(piece.parked))


def _load_rows(
    connection: DuckDBPyConnection, load: Iterable[str], name: str, columns: Columns, rows: Sequence[dict[str, Any]]
) -> None:
    if rows:
        with relation(connection, name, columns, rows):
            run(connection, load)


def _load_arrivals(
    connection: DuckDBPyConnection,
    reports: Sequence[StrippedRecord],
    known_by: Sequence[Identity],
    again: Sequence[bool],
) -> None:
    rows = [
        {**_what(record), "policy_version": record.values.get("policy_version"), "id": id_, "duplicate": duplicate}
        for record, (_, id_), duplicate in zip(reports, known_by, again, strict=True)
    ]
    _load_rows(connection, LOAD_ARRIVALS, "arrivals", ARRIVALS, rows)


def _load_reports(connection: DuckDBPyConnection, reports: Sequence[StrippedRecord]) -> None:
    by_report: dict[str, list[dict[str, Any]]] = {report: [] for report in ROWS}
    for ordinal, record in enumerate(reports):
        record.values.update(_what(record), ordinal=ordinal)
        if record.topic.report in by_report:
            by_report[record.topic.report].append(record.values)
    _load_rows(connection, LOAD_REMARKS, "remarked", REMARKED, [record.values for record in reports])
    for report, rows in by_report.items():
        _load_rows(connection, LOAD_REPORTS[report], "reports", columns_of(report), rows)


def _what(record: StrippedRecord) -> dict[str, Any]:
    return {
        "received": record.received,
        "hour": record.hour,
        "tier": record.topic.tier,
        "report": record.topic.report,
        "schema_version": record.topic.version,
    }
