"""What has to be said beside the rows of an answer, in sentences: why it may not be what the reader expects.

A note is made of names that were published, names of our own and numbers, and never of what was sent.
"""

from collections.abc import Iterator
from difflib import get_close_matches

from aggregators.answering.answers import Answer, AnswerSource
from aggregators.answering.question import Question
from aggregators.answering.reading import Reading
from aggregators.answering.spans import iso
from aggregators.sql_templates import fill, quoted, read_sql
from ingest.operator_documents import DocumentKind

NAMED = frozenset({"model", "region", "served_region"})
"""Dimensions whose values are names of the manifest."""

COST = "cost"
UNKNOWN_SPANS = "unknown_spans"
MANY_UNKNOWN = 3
"""Values that near ones are looked for: against a thousand names each takes tens of milliseconds of pure Python."""
MANY = 20
"""Of the values that a dimension has, when none is near the one that was asked for."""

MISSING: dict[DocumentKind, str] = {
    "manifest": (
        "No manifest was put, so every model, version, region and site reads `other`; mend it with "
        "`tidegate manifest put FILE --data DIR`."
    ),
    "prices": "No prices were put, so every task is unpriced; mend it with `tidegate prices put FILE --data DIR`.",
}
WAITING: dict[DocumentKind, str] = {
    "manifest": "A manifest was put after the newest publication; the next one goes by it.",
    "prices": "Prices were put after the newest publication; the next one goes by them.",
}


def notes(answer: Answer, reading: Reading, source: AnswerSource) -> list[str]:
    """The notes of an answer; `reading` is the one that it was read with."""
    question = answer.question
    found = [*source.notes(), *_documents(answer, reading, source), *_gaps(question, reading)]
    if question.widened:
        unit = "days" if question.bucket == "day" or question.cube.day_only else "hours"
        found.append(f"The range was widened to whole {unit}.")
    if answer.published is None:
        return [*found, "Nothing was published yet: an hour is published once it is over and its late reports are in."]
    found.extend(_unknown_spans(question, reading))
    if answer.table.num_rows == 0 and question.cursor is None:
        found.append(_why_empty(answer, reading))
    return [*found, *_unknown_values(answer, reading)]


def _documents(answer: Answer, reading: Reading, source: AnswerSource) -> Iterator[str]:
    measure = answer.question.measure
    needed: list[DocumentKind] = ["manifest"] if NAMED & set(measure.dimensions) else []
    needed += ["prices"] if COST in measure.units else []
    if not needed:
        return
    used = set() if answer.published is None else {row["kind"] for row in reading.rows(read_sql("ask/documents"), {})}
    for kind in needed:
        if kind not in used:
            yield WAITING[kind] if source.history(kind) else MISSING[kind]


def _gaps(question: Question, reading: Reading) -> Iterator[str]:
    span = question.span
    [lost] = reading.rows(read_sql("ask/gaps"), {"start_time": span.start, "end_time": span.end})
    if lost["gaps"]:
        yield (
            f"Up to {lost['records']:,} records were lost from the log before they were counted, and may belong to "
            f"this range; that was accepted at {iso(lost['accepted'])}. What is missing is not known."
        )


def _unknown_spans(question: Question, reading: Reading) -> Iterator[str]:
    measure, span = question.measure, question.span
    if UNKNOWN_SPANS not in measure.units:
        return
    asked = fill(read_sql("ask/unknown_spans"), {"table": measure.table})
    [found] = reading.rows(asked, {"from_time": span.start, "to_time": span.end})
    if number := found["spans"]:
        spans = "1 span" if number == 1 else f"{number:,} spans"
        yield (
            f"What gates counted in {spans} of this range is unknown: a gate was killed, which takes its last second "
            "along, or hangs, or its records were lost. What was received, rejected or in doubt then is missing here; "
            "what was stored or came twice is counted from the log, all of it."
        )


def _why_empty(answer: Answer, reading: Reading) -> str:
    question = answer.question
    published = fill(read_sql("ask/published_range"), {"table": question.measure.table})
    [found] = reading.rows(published, {"cube": question.cube.name})
    if answer.withheld.cells:
        return "No cell in this range has enough devices to be shown; those with too few are counted as withheld."
    if found["first"] is None:
        return "There is no data: no cell of this combination of dimensions was published yet."
    first, last = iso(found["first"]), iso(found["last"])
    return f"There is no data in this range: what is published lies between {first} and {last}."


def _unknown_values(answer: Answer, reading: Reading) -> Iterator[str]:
    """A note for each dimension that is filtered by a value that no published cell has."""
    question = answer.question
    for one in question.filters:
        shown = set(answer.table.column(one.dimension).to_pylist())
        missing = [value for value in one.values if value not in shown]
        if missing and (known := _values(question, one.dimension, reading)):
            unknown = [value for value in missing if value not in known][:MANY_UNKNOWN]
            near = sorted({near for value in unknown for near in get_close_matches(value, known)})
            if near:
                yield f"No published cell has that {one.dimension}; did you mean {' or '.join(near)}?"
            elif unknown:
                yield f"No published cell has that {one.dimension}; there are: {', '.join(sorted(known)[:MANY])}."


def _values(question: Question, dimension: str, reading: Reading) -> set[str]:
    known = fill(read_sql("ask/known_values"), {"dimension": quoted(dimension), "table": question.measure.table})
    return {row["value"] for row in reading.rows(known, {"cube": question.cube.name})}
