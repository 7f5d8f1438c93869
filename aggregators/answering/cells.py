"""Question -> SQL: the published cells that a question reads, added up as far as it asks, and the query that answers.

Rules held here:

* of a table of cells only the columns that a measure names are read; `devices`, which no answer may have, is none;
* every name in the text is quoted and comes from the measure, every value is a parameter;
* a range is read by its daily cells where a whole day lies in it, and by hourly cells beside them: the longer the span
  of a cell, the less has to be withheld.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aggregators.answering.question import Question
from aggregators.answering.reading import Reading
from aggregators.answering.spans import ceiling, floor
from aggregators.publication.measure import Measure
from aggregators.sql_templates import capped, fill, quoted, read_sql

START = "start"
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which cells a question reads: daily ones from `first_day` to `last_day` but for `open_days`, hourly ones else."""

    first_day: datetime
    last_day: datetime
    open_days: tuple[datetime, ...] = ()


def coverage(question: Question, reading: Reading, *, complete_to: datetime) -> Coverage:
    """What a question reads when everything up to `complete_to` was published.

    A day that is not over is read by its hours where these are newer than what its daily cells were made of.
    """
    span = question.span
    if question.bucket == "day" or question.cube.day_only:
        return Coverage(span.start, span.end)
    first_day, last_day = ceiling(span.start, "day"), floor(span.end, "day")
    if question.bucket == "hour" or first_day >= last_day:
        return Coverage(span.end, span.end)
    open_days = reading.rows(
        fill(read_sql("ask/open_days"), {"table": question.measure.table}),
        {
            "cube": question.cube.name,
            "from_time": max(first_day, floor(complete_to, "day")),
            "to_time": last_day,
        },
    )
    return Coverage(first_day, last_day, tuple(sorted(row["day"] for row in open_days)))


def span_parameters(question: Question, covered: Coverage) -> dict[str, Any]:
    """The parameters of `ask/spans.sql`."""
    return {
        "from_time": question.span.start,
        "to_time": question.span.end,
        "first_day": covered.first_day,
        "last_day": covered.last_day,
        "open_days": list(covered.open_days),
    }


def answer_query(question: Question, covered: Coverage, *, at_most: int) -> tuple[str, Parameters]:
    """The query of at most `at_most` rows from the cursor's position on, and its parameters."""
    measure, asked = question.measure, (START, *question.columns)
    histograms = [one.name for one in measure.histograms]
    parts = {
        "start": START if question.bucket else "NULL::TIMESTAMP",
        "stored": _listed([*question.columns, *(one.name for one in measure.values), *histograms, "band"]),
        "each": measure.each_sql,
        "table": measure.table,
        "spans": read_sql("ask/spans"),
        "asked": _listed(asked),
        "sums": _sums(measure),
        "counted": quoted(measure.values[0].name),
        "histograms": "".join(_added_histogram(name, asked) for name in histograms),
        "added_histograms": "".join(f", {_relation(name)}.{quoted(name)}" for name in histograms),
        "joins": "".join(_join(name, asked) for name in histograms),
        "answer": measure.answer_sql(question.cube, asked=asked),
        "wanted": " AND ".join(
            f"list_contains($filter_{place}::VARCHAR[], {quoted(one.dimension)})"
            for place, one in enumerate(question.filters)
        )
        or "true",
    }
    parameters = {
        "cube": question.cube.name,
        **span_parameters(question, covered),
        **{f"filter_{place}": list(one.values) for place, one in enumerate(question.filters)},
        "at_most": at_most,
        "position": question.cursor.position if question.cursor else 0,
    }
    return fill(read_sql("ask/answer"), parts), parameters


def _listed(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _sums(measure: Measure) -> str:
    """The sum of each value; nothing where a cell in it shows no values, for the rest would pass for the whole."""
    names = [quoted(name) for name in (*(one.name for one in measure.values), *measure.beside)]
    return ", ".join(f"CASE WHEN count(band) = 0 THEN sum({name}) END AS {name}" for name in names)


def _relation(histogram: str) -> str:
    return quoted(f"{histogram} added")


def _added_histogram(name: str, asked: Iterable[str]) -> str:
    names = {"relation": _relation(name), "asked": _listed(asked), "histogram": quoted(name)}
    parts = {**names, "added": capped("sum(entry.value)")}
    return fill(read_sql("ask/histogram"), parts)


def _join(name: str, asked: Iterable[str]) -> str:
    same = " AND ".join(f"added.{quoted(one)} IS NOT DISTINCT FROM {_relation(name)}.{quoted(one)}" for one in asked)
    return f"LEFT JOIN {_relation(name)} ON {same}\n"
