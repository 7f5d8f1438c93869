"""Rollups with rows written by hand, and publication from them, for tests of what is made of the rows.

Rows go straight into the tables of `aggregators/sql/tables.sql`; what a test does not name is 0, absent, or `HOUR`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from aggregators.fence import Fence
from aggregators.publication.measure import Measure
from aggregators.publication.measures import load_measures
from aggregators.publication.publish import Publication, load_published, publish
from aggregators.sql_templates import fill, read_sql
from ingest.operator_documents import DocumentKind, DocumentVersion

HOUR = datetime(2026, 11, 20, 8)  # noqa: DTZ001  # naive UTC, as DuckDB stores it
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # as above
MEASURES = load_measures()

Row = Mapping[str, Any]

_FLAGS = st.integers(0, 3)

ROUTED = st.fixed_dictionaries(
    {
        "tier": st.sampled_from(("managed", "byod")),
        "hour": st.sampled_from((HOUR, HOUR + timedelta(hours=1), HOUR + timedelta(days=1))),
        "device": st.sampled_from((None, "a", "b", "c", "d")),
        "planned_route": st.sampled_from(("edge", "on_device")),
        "region": st.sampled_from((None, "north", "south")),
        "tasks": st.integers(1, 4),
        "key_hour": _FLAGS,
        "key_day": _FLAGS,
        "report_hour": _FLAGS,
        "report_day": _FLAGS,
    }
)
"""Rows of `route_rows`, of few places, so that some of them meet."""


@dataclass(frozen=True, slots=True)
class OfK:
    """A tier of which publication only needs the k."""

    k: int


TIERS = {"managed": OfK(5), "byod": OfK(10), "contractor": OfK(20)}
OPEN_TIERS = {"managed": OfK(1)}
"""Every cell with a device in it appears; for tests of what is in a cell."""


class Documents:
    """The operator's documents in memory: (in force from, document) by kind, in the order in which they were put."""

    def __init__(self, **histories: Sequence[tuple[datetime, dict[str, Any]]]) -> None:
        self.histories = {kind: list(history) for kind, history in histories.items()}

    def history(self, kind: DocumentKind) -> list[DocumentVersion]:
        return [
            DocumentVersion(number, kind, 0, milliseconds(in_force), document)
            for number, (in_force, document) in enumerate(self.histories.get(kind, ()), start=1)
        ]


def milliseconds(time: datetime) -> int:
    """Since the epoch."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def fresh_rollups() -> duckdb.DuckDBPyConnection:
    """Empty tables in memory."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(read_sql("tables"))
    return connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, *rows: Row) -> None:
    """Adds rows to a table, and their hours to `changed`, as the follower does."""
    columns = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}
    for row in rows:
        assert row.keys() <= columns.keys(), f"{table} has no {sorted(row.keys() - columns.keys())}"
    filled = [{name: row.get(name, _default(name, kind)) for name, kind in columns.items()} for row in rows]
    connection.register("given", pa.Table.from_pylist(filled))
    connection.execute(fill("INSERT INTO {table} BY NAME SELECT * FROM given", {"table": table}))
    for basis, column in (("window", "hour"), ("received", "received"), ("received", "to_time")):
        if column in columns:
            note_changes(connection, basis, column, "given")
    connection.unregister("given")


def note_changes(connection: duckdb.DuckDBPyConnection, basis: str, column: str, table: str) -> None:
    """Marks every hour in `column` of a table as changed."""
    sql = "INSERT INTO changed SELECT DISTINCT '{basis}', date_trunc('hour', {column}) FROM {table}"
    connection.execute(fill(sql, {"basis": basis, "column": column, "table": table}))


def _default(name: str, kind: str) -> Any:
    if kind == "TIMESTAMP":
        return HOUR
    if name == "tier":
        return "managed"
    return {"BIGINT": 0, "INTEGER": 0, "SMALLINT": 0, "BOOLEAN": False}.get(kind)


@dataclass(slots=True)
class Publisher:
    """Rollups and what is published of them; every `publish` is a minute after the one before."""

    directory: Path
    connection: duckdb.DuckDBPyConnection = field(default_factory=fresh_rollups)
    tiers: Mapping[str, OfK] = field(default_factory=lambda: dict(TIERS))
    documents: Documents = field(default_factory=Documents)
    measures: Mapping[str, Measure] = field(default_factory=lambda: dict(MEASURES))
    at: datetime = HOUR + timedelta(days=1)
    fence: Fence = field(init=False)

    def __post_init__(self) -> None:
        self.fence = Fence.claim(self.directory)

    def publish(self, closed_to: datetime | None = None) -> Publication:
        """Everything that changed, or what was over at `closed_to`."""
        self.at += timedelta(minutes=1)
        return publish(
            self.connection,
            self.measures,
            tiers=self.tiers,
            documents=self.documents,
            fence=self.fence,
            at=milliseconds(self.at),
            closed_to=None if closed_to is None else milliseconds(closed_to),
            complete_to=milliseconds(closed_to or self.at),
        )

    def forget(self) -> None:
        """What a rebuild leaves: the rows, every hour to be looked at, and nothing published but the files."""
        for table in ("publications", "withheld", "changed_days", *(one.table for one in self.measures.values())):
            self.connection.execute(fill("DELETE FROM {table}", {"table": table}))
        for table in ("route_rows", "fallback_rows", "fallback_planned", "violation_rows", "inventory_rows"):
            note_changes(self.connection, "window", "hour", table)
        for table in ("remarks", "receipts", "gate_outcomes"):
            note_changes(self.connection, "received", "received", table)
        note_changes(self.connection, "received", "to_time", "gate_spans")

    def load(self) -> int:
        return load_published(self.connection, self.directory, self.measures)

    def cells(self, measure: str, *dimensions: str, grain: str = "hour") -> list[dict[str, Any]]:
        """The published cells of a cube, all columns, in order."""
        cube = self.measures[measure].cube_of(dimensions)
        assert cube is not None
        sql = "SELECT * FROM {table} WHERE cube = $cube AND grain = $grain ORDER BY ALL"
        return self._rows(fill(sql, {"table": self.measures[measure].table}), {"cube": cube.name, "grain": grain})

    def values(self, measure: str, *dimensions: str, grain: str = "hour") -> dict[tuple[Any, ...], dict[str, Any]]:
        """Values and histograms of the published cells of a cube, by the values of its dimensions."""
        names = [one.name for one in (*self.measures[measure].values, *self.measures[measure].histograms)]
        return {
            tuple(cell[name] for name in dimensions): {name: cell[name] for name in names}
            for cell in self.cells(measure, *dimensions, grain=grain)
        }

    def answer(self, measure: str, *dimensions: str, grain: str = "hour") -> list[dict[str, Any]]:
        """What the measure's own query makes of the published cells of one cube, at every start and tier."""
        asked = self.measures[measure]
        cube = asked.cube_of(dimensions)
        assert cube is not None
        view = (
            "CREATE OR REPLACE TEMP VIEW cells AS "
            "SELECT * {each} FROM {table} AS cell WHERE cube = '{cube}' AND grain = '{grain}'"
        )
        parts = {"each": asked.each_sql, "table": asked.table, "cube": cube.name, "grain": grain}
        self.connection.execute(fill(view, parts))
        return self._rows(asked.answer_sql(cube, asked=["start", "tier", *dimensions]) + " ORDER BY ALL", {})

    def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.connection.sql(sql, params=dict(parameters)).to_arrow_table().to_pylist()
        return rows

    def withheld(self, measure: str) -> dict[tuple[str, str], tuple[int, int]]:
        """(cells, waiting) by cube and grain."""
        rows = self.connection.execute(
            "SELECT cube, grain, sum(cells)::BIGINT, sum(waiting)::BIGINT FROM withheld WHERE measure = $measure "
            "GROUP BY ALL ORDER BY ALL",
            {"measure": measure},
        ).fetchall()
        return {(cube, grain): (cells, waiting) for cube, grain, cells, waiting in rows}

    def everything(self) -> dict[str, list[Any]]:
        """All published cells and all counts of what is withheld, in order."""
        tables = [*(one.table for one in self.measures.values()), "withheld"]
        return {table: self.connection.sql(f"FROM {table} ORDER BY ALL").fetchall() for table in tables}
