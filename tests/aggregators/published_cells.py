"""Published cells for a test: a database with the real tables, filled by hand as publication would fill it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any

import duckdb
import pyarrow as pa

from aggregators.answering.answers import Answer, answer, whole_answer
from aggregators.answering.api import tell
from aggregators.answering.formats import JSON, Told
from aggregators.answering.question import Question, read_question
from aggregators.answering.reading import Reading
from aggregators.publication.cubes import create_tables
from aggregators.publication.measure import Cube, Measure
from aggregators.publication.measures import load_measures
from aggregators.sql_templates import quoted, read_sql
from ingest.access.token_view import Credential
from ingest.access.tokens import KINDS
from ingest.operator_documents import DocumentKind, DocumentVersion
from ingest.problems import Reason, Rejected

MEASURES = load_measures()
NOW = datetime(2026, 11, 20, 12)  # noqa: DTZ001 - naive UTC, as published cells are
NOW_MS = 1_795_176_000_000
DEVICES = 987_654_321
"""The bound that every cell was published with: a number that nothing else in a test is."""


@dataclass
class Source:
    """What answers are made from, in memory. `tokens` are the kinds of token themselves."""

    connection: duckdb.DuckDBPyConnection
    measures: Mapping[str, Measure] = field(default_factory=lambda: MEASURES)
    said: list[str] = field(default_factory=list)
    documents: list[DocumentVersion] = field(default_factory=list)
    now: int = NOW_MS

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self.connection.cursor()

    def check(self, token: bytes | None) -> Credential:
        """A credential for every kind of token by its name."""
        if not token:
            raise Rejected(Reason.NO_TOKEN)
        for kind in KINDS:
            if kind.encode() == token:
                return Credential(id="k4x2m7q5wz3a", tier="*", kind=kind)
        raise Rejected(Reason.WRONG_TOKEN)

    def notes(self) -> Sequence[str]:
        return self.said

    def history(self, kind: DocumentKind) -> Sequence[DocumentVersion]:
        return [one for one in self.documents if one.kind == kind]

    def now_ms(self) -> int:
        return self.now

    def publish(self, *, number: int = 1, complete_to: datetime = NOW) -> None:
        """Note a publication, and the documents that are there as those that it went by."""
        self.connection.execute("INSERT INTO publications VALUES (?, ?, ?)", [number, NOW, complete_to])
        for one in self.documents:
            self.connection.execute("INSERT INTO operator_documents VALUES (?, ?)", [one.kind, one.number])

    def cell(  # the keys of a published cell
        self,
        measure: str,
        start: datetime,
        row: Mapping[str, Any],
        *,
        cube: str,
        grain: str = "hour",
        tier: str = "managed",
        publication: int = 1,
    ) -> None:
        """Publish one cell; `row` are its dimensions, values, histograms and band."""
        place = {"publication": publication, "grain": grain, "start": start, "cube": cube, "tier": tier}
        columns = {**place, "devices": DEVICES, **row}
        names = ", ".join(quoted(name) for name in columns)
        places = ", ".join("?" for _ in columns)
        self.connection.execute(
            f"INSERT INTO {self.measures[measure].table} ({names}) VALUES ({places})",  # noqa: S608 - a test's own names
            list(columns.values()),
        )

    def withhold(
        self,
        measure: str,
        start: datetime,
        *,
        cube: str,
        grain: str = "hour",
        tier: str = "managed",
        cells: int = 1,
        waiting: int = 0,
    ) -> None:
        """Count cells that could not be shown."""
        self.connection.execute(
            "INSERT INTO withheld VALUES (?, ?, ?, ?, ?, ?, ?)", [measure, cube, grain, start, tier, cells, waiting]
        )

    def ask(self, measure: str, **parameters: str) -> Answer:
        """The whole answer to a question as the parameters of a query; `from_` stands for `from`."""
        with Reading(self.cursor()) as reading:
            return whole_answer(self.question(measure, **parameters), reading)

    def page(self, measure: str, **parameters: str) -> Answer:
        """As `ask`, a page of it."""
        question = self.question(measure, **parameters)
        with Reading(self.cursor()) as reading:
            return answer(question, reading, at_most=question.limit)

    def question(self, measure: str, **parameters: str) -> Question:
        """The question that these parameters ask."""
        given = [(name.rstrip("_"), value) for name, value in parameters.items()]
        return read_question(self.measures[measure], given, now=NOW)

    def rows(self, measure: str, **parameters: str) -> list[dict[str, Any]]:
        """The rows of the whole answer."""
        rows: list[dict[str, Any]] = self.ask(measure, **parameters).table.to_pylist()
        return rows


def empty_source() -> Source:
    """A database with every table, and nothing in any of them."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute(read_sql("tables"))
    create_tables(connection, MEASURES.values())
    return Source(connection)


def told(source: Source, measure: str, **parameters: str) -> Told:
    """An answer with all that is said beside it."""
    given = [(name.rstrip("_"), value) for name, value in parameters.items()]
    return tell(read_question(MEASURES[measure], given, now=NOW), source, JSON)


def route(
    source: Source, start: datetime, name: str, tasks: int, *, grain: str = "hour", tier: str = "managed"
) -> None:
    """Publish the tasks of a route."""
    source.cell("R1", start, {"route": name, "tasks": tasks}, cube="route", grain=grain, tier=tier)


def document(kind: DocumentKind, number: int, in_force: datetime) -> DocumentVersion:
    """A version of the manifest or the prices."""
    milliseconds = NOW_MS + int((in_force - NOW).total_seconds() * 1000)
    return DocumentVersion(number, kind, milliseconds, milliseconds, {})


def fill_every_cube(source: Source, hours: Sequence[datetime]) -> None:
    """Cells in every cube of every measure: two values a dimension, two tiers, each of `hours` and its day."""
    for measure in source.measures.values():
        rows = [row for cube in measure.cubes for row in _cells(measure, cube, hours)]
        incoming = pa.Table.from_pylist(rows, _schema(measure))
        source.connection.register("incoming", incoming)
        source.connection.execute(f"INSERT INTO {measure.table} BY NAME SELECT * FROM incoming")  # noqa: S608 - as above
    source.publish()


def _cells(measure: Measure, cube: Cube, hours: Sequence[datetime]) -> Iterator[dict[str, Any]]:
    days = sorted({hour.replace(hour=0) for hour in hours})
    for grain in cube.grains:
        for start, tier in product(hours if grain == "hour" else days, ("managed", "byod")):
            for place, named in enumerate(product(("a", "b"), repeat=len(cube.dimensions))):
                yield {
                    "publication": 1,
                    "grain": grain,
                    "start": start,
                    "cube": cube.name,
                    "tier": tier,
                    "devices": DEVICES,
                    **dict(zip(cube.dimensions, named, strict=True)),
                    **{one.name: 10 + place for one in measure.values},
                    **{one.name: [(3, 5), (20, 4 + place), (1000, 1)] for one in measure.histograms},
                }


def _schema(measure: Measure) -> pa.Schema:
    histogram = pa.map_(pa.int16(), pa.int64())
    return pa.schema(
        [
            *((name, pa.string()) for name in ("grain", "cube", "tier", *measure.dimensions)),
            *((name, pa.int64()) for name in ("publication", "devices", *(one.name for one in measure.values))),
            ("start", pa.timestamp("us")),
            *((one.name, histogram) for one in measure.histograms),
        ]
    )
