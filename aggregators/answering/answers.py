"""Question -> Answer: a table of published cells, and what has to be said with it.

Rules held here:

* only what was published is read: the cubes, `withheld` and `publications`. Two things that no device said come beside
  them: which policy versions the gates stored by, and which documents the operator put;
* a column that is neither asked nor declared by the measure does not leave, whatever a query returns;
* later pages are read as the first one was, or refused: the cursor's publication says which cells that were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from aggregators.answering.cells import START, Coverage, answer_query, coverage, span_parameters
from aggregators.answering.cursors import Cursor
from aggregators.answering.problems import Refusal, Refused
from aggregators.answering.question import Question
from aggregators.answering.reading import Reading
from aggregators.publication.measure import Measure
from aggregators.sql_templates import fill, read_sql
from ingest.access.token_view import Credential
from ingest.operator_documents import DocumentKind, DocumentVersion

MAX_ROWS = 500_000
"""Of an answer that is not paged: at most some hundred megabytes as a table of Arrow."""

NO_UNIT = "none"
UNIT = b"unit"


class AnswerSource(Protocol):
    """What answers are made from, and who may ask; every method may be called from any thread."""

    @property
    def measures(self) -> Mapping[str, Measure]:
        """What may be asked, by name."""
        ...

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor of one's own on the rollups; raises `RollupsFull`, or DuckDB's errors, where there is none now."""
        ...

    def check(self, token: bytes | None) -> Credential:
        """Who asks; raises `ingest.problems.Rejected`. Called in the event loop only."""
        ...

    def notes(self) -> Sequence[str]:
        """Sentences that belong beside every answer now: that the follower is behind, or has stopped, and why."""
        ...

    def history(self, kind: DocumentKind) -> Sequence[DocumentVersion]:
        """Every version of the manifest or of the prices."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """The publication that an answer is read from; times are naive UTC."""

    number: int
    at: datetime
    complete_to: datetime


@dataclass(frozen=True, slots=True)
class Withheld:
    """What the cube could not show over the span: cells of too few devices, and cells whose late data wait."""

    cells: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question is answered with; `table` is the rows, each column with its unit as metadata of its field."""

    question: Question
    table: pa.Table
    published: Published | None
    withheld: Withheld
    next: Cursor | None


def answer(question: Question, reading: Reading, *, at_most: int) -> Answer:
    """At most `at_most` rows from where the question's cursor says, and a cursor for the rest. Raises `Refused`."""
    published = _published(question, reading)
    if published is None:
        return Answer(question, _labelled(_empty(question), question), None, Withheld(), None)
    covered = coverage(question, reading, complete_to=published.complete_to)
    rows = reading.table(*answer_query(question, covered, at_most=at_most + 1))
    position = question.cursor.position if question.cursor else 0
    following = Cursor(published.number, position + at_most, question.span, question.digest)
    return Answer(
        question=question,
        table=_labelled(rows.slice(0, at_most), question),
        published=published,
        withheld=_withheld(question, covered, reading),
        next=following if rows.num_rows > at_most else None,
    )


def whole_answer(question: Question, reading: Reading, *, at_most: int = MAX_ROWS) -> Answer:
    """Every row; raises `Refused` (too_many_rows) where there are more than `at_most`."""
    found = answer(question, reading, at_most=at_most)
    if found.next is not None:
        raise Refused(Refusal.TOO_MANY_ROWS, detail=f"at most {at_most:,}; ask a shorter range, or a longer bucket")
    return found


def _published(question: Question, reading: Reading) -> Published | None:
    """The newest publication, or that of the cursor as long as none after it changed what the question reads."""
    cursor = question.cursor
    found = reading.rows(read_sql("ask/publication"), {"number": None if cursor is None else cursor.publication})
    if cursor is None:
        return Published(**found[0]) if found else None
    if not found:
        raise Refused(Refusal.BAD_CURSOR)
    newest = fill(read_sql("ask/newest_change"), {"table": question.measure.table})
    span = question.span
    [changed] = reading.rows(newest, {"cube": question.cube.name, "from_time": span.start, "to_time": span.end})
    if changed["publication"] is not None and changed["publication"] > cursor.publication:
        raise Refused(Refusal.PUBLICATION_CHANGED)
    return Published(**found[0])


def _withheld(question: Question, covered: Coverage, reading: Reading) -> Withheld:
    parameters = {
        "measure": question.measure.name,
        "cube": question.cube.name,
        "tiers": None if question.tiers is None else list(question.tiers),
        **span_parameters(question, covered),
    }
    [counted] = reading.rows(fill(read_sql("ask/withheld"), {"spans": read_sql("ask/spans")}), parameters)
    return Withheld(**counted)


def _empty(question: Question) -> pa.Table:
    fields = [(START, pa.timestamp("us")), *((name, pa.string()) for name in question.columns)]
    fields += [
        (name, pa.string() if unit == NO_UNIT else pa.float64()) for name, unit in question.measure.units.items()
    ]
    return pa.schema(fields).empty_table()


def _labelled(rows: pa.Table, question: Question) -> pa.Table:
    """The columns that may leave, as 64-bit numbers, texts and times, each with its unit."""
    asked = (START, *question.columns) if question.bucket else question.columns
    units = dict.fromkeys(asked, NO_UNIT) | question.measure.units
    names = [name for name in units if name in rows.column_names]
    columns = [_plain(rows.column(name)) for name in names]
    fields = [
        pa.field(name, column.type, metadata={UNIT: units[name]}) for name, column in zip(names, columns, strict=True)
    ]
    return pa.table(columns, schema=pa.schema(fields))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_decimal(column.type):  # a HUGEINT of DuckDB; beyond 64 bits it is only nearly right
        try:
            return pc.cast(column, pa.int64())
        except pa.ArrowInvalid:
            return pc.cast(column, pa.float64())
    if pa.types.is_integer(column.type):
        return pc.cast(column, pa.int64())
    if pa.types.is_floating(column.type):
        numbers = pc.cast(column, pa.float64())
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))
    return column
