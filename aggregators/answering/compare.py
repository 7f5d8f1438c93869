"""`compare=previous`: which cells moved most against the span just before, and what was changed in the two spans.

Rules held here:

* both spans are read without buckets, so that a cell is one combination of dimensions;
* a cell that has no number in one of the spans has not moved: it may be withheld there. Such cells are counted;
* the changes stand in the order of time. What came first is not always what caused it, and nothing here says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import nlargest
from typing import Literal

import pyarrow as pa

from aggregators.answering.answers import AnswerSource, Withheld, whole_answer
from aggregators.answering.question import Question
from aggregators.answering.reading import Reading
from aggregators.answering.spans import Span
from aggregators.sql_templates import read_sql
from aggregators.times import naive_utc

MOST_MOVED = 20
MAX_CELLS = 100_000
"""Cells of one span that are compared."""

Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """One cell in both spans: its dimensions, and the measure's primary value before and now."""

    cell: Key
    before: float
    now: float

    @property
    def change(self) -> float:
        """How far it moved, in the unit of the value."""
        return self.now - self.before


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed: a policy in the gates, a document of the operator, the devices' routing policy.

    `time` is naive UTC: when a document is in force from, else the hour in which the version was first seen.
    """

    time: datetime
    what: Literal["policy", "manifest", "prices", "routing_policy"]
    tier: str | None
    version: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two spans held against each other. `moved`: by how far, farthest first."""

    previous: Span
    primary: str
    moved: tuple[Moved, ...]
    only_before: int
    only_now: int
    withheld: Withheld
    changes: tuple[Change, ...]


def compare(question: Question, reading: Reading, source: AnswerSource) -> Comparison:
    """The question's span against the one before; raises `Refused`."""
    span = question.span
    before = whole_answer(_over(question, span.previous), reading, at_most=MAX_CELLS)
    now = whole_answer(_over(question, span), reading, at_most=MAX_CELLS)
    primary = question.measure.primary_of(question.cube)
    old, new = (dict(_by_cell(question, one.table, primary)) for one in (before, now))
    moved = [Moved(cell, old[cell], new[cell]) for cell in old.keys() & new.keys() if old[cell] != new[cell]]
    return Comparison(
        previous=span.previous,
        primary=primary,
        moved=tuple(nlargest(MOST_MOVED, moved, key=lambda one: (abs(one.change), repr(one.cell)))),
        only_before=len(old.keys() - new.keys()),
        only_now=len(new.keys() - old.keys()),
        withheld=before.withheld,
        changes=tuple(sorted(_changes(Span(span.previous.start, span.end), reading, source), key=_order)),
    )


def _over(question: Question, span: Span) -> Question:
    return replace(question, span=span, bucket=None, cursor=None)


def _by_cell(question: Question, table: pa.Table, primary: str) -> Iterator[tuple[Key, float]]:
    # Column by column: rows as dictionaries hold up the other threads of the process for three times as long.
    columns = [table.column(name).to_pylist() for name in (*question.columns, primary)]
    for *cell, value in zip(*columns, strict=True):
        if value is not None:
            yield tuple(cell), value


def _changes(both: Span, reading: Reading, source: AnswerSource) -> Iterator[Change]:
    within = {"from_time": both.start, "to_time": both.end}
    for row in reading.rows(read_sql("ask/policies"), within):
        yield Change(row["time"], "policy", row["tier"], str(row["version"]))
    for row in reading.rows(read_sql("ask/routing_policies"), within):
        yield Change(row["time"], "routing_policy", None, row["version"])
    for version in (*source.history("manifest"), *source.history("prices")):
        time = naive_utc(version.in_force)
        if both.start <= time < both.end:
            yield Change(time, version.kind, None, str(version.number))


def _order(change: Change) -> tuple[datetime, str, str, str]:
    return change.time, change.what, change.tier or "", change.version
