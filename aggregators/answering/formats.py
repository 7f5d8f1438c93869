"""Answer -> bytes: JSON, CSV, an Arrow IPC stream or Parquet, whichever `Accept` prefers.

Rules held here:

* every format has the same rows in the same order; JSON has pages of them, the others all;
* what has to be said beside the rows is in the document of JSON, and in headers and the metadata of Arrow's schema
  elsewhere. No header holds anything that was sent;
* times are UTC: ISO 8601 with a Z in JSON and CSV, microseconds without a zone in Arrow and Parquet, as in DuckDB.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from aggregators.answering.answers import UNIT, Answer
from aggregators.answering.compare import Change, Comparison, Moved
from aggregators.answering.problems import Refusal, Refused
from aggregators.answering.spans import iso

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"

BATCH_ROWS = 10_000
"""Rows that are written at once, so that of a long answer only the table itself is held."""

QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
TYPES = {pa.string(): "string", pa.int64(): "integer", pa.float64(): "number"}


@dataclass(frozen=True, slots=True)
class Told:
    """An answer with all that is said beside its rows."""

    answer: Answer
    notes: tuple[str, ...]
    comparison: Comparison | None = None


def negotiate(accept: str | None) -> str:
    """The media type that `Accept` prefers, JSON where it does not care; raises `Refused` where none will do."""
    ranges = list(_ranges(accept or "*/*"))
    best = max(FORMATS, key=lambda name: (_quality(name, ranges), -list(FORMATS).index(name)))
    if _quality(best, ranges) == 0:
        raise Refused(Refusal.NOT_ACCEPTABLE, offered=tuple(FORMATS))
    return best


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Media ranges with their quality; one that cannot be read is left out."""
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        said = [value.removeprefix("q=") for value in parameters if value.startswith("q=")] or ["1"]
        if QUALITY.fullmatch(said[0]):
            yield name, float(said[0])


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """What the most specific range that covers a media type says of it (RFC 9110, 12.5.1)."""
    for covering in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in ranges if name == covering]
        if found:
            return max(found)
    return 0.0


def encode(told: Told, media_type: str) -> Iterator[bytes]:
    """The body, piece by piece."""
    return FORMATS[media_type](told)


def headers(told: Told) -> dict[str, str]:
    """What is said beside the rows, for formats that have no place for it."""
    answer = told.answer
    return {
        "Tidegate-Measure": answer.question.measure.name,
        "Tidegate-From": iso(answer.question.span.start),
        "Tidegate-To": iso(answer.question.span.end),
        **(
            {}
            if answer.published is None
            else {
                "Tidegate-Publication": str(answer.published.number),
                "Tidegate-Published-At": iso(answer.published.at),
                "Tidegate-Complete-To": iso(answer.published.complete_to),
            }
        ),
        "Tidegate-Withheld-Cells": str(answer.withheld.cells),
        "Tidegate-Withheld-Waiting": str(answer.withheld.waiting),
        "Tidegate-Notes": json.dumps(told.notes),
    }


def document(told: Told) -> dict[str, Any]:
    """The whole answer as a document of JSON."""
    answer, question = told.answer, told.answer.question
    found: dict[str, Any] = {
        "measure": question.measure.name,
        "title": question.measure.title,
        **_facts(told),
        "columns": [
            {"name": field.name, "type": TYPES.get(field.type, "time"), "unit": _unit(field)}
            for field in answer.table.schema
        ],
        "rows": [{name: _shown(value) for name, value in row.items()} for row in answer.table.to_pylist()],
        "next": None if answer.next is None else answer.next.encode(),
    }
    if told.comparison is not None:
        found |= _compared(told.comparison, question.columns, told)
    return found


def _facts(told: Told) -> dict[str, Any]:
    answer, question = told.answer, told.answer.question
    published = answer.published
    return {
        "from": iso(question.span.start),
        "to": iso(question.span.end),
        "bucket": question.bucket,
        "by": list(question.by),
        "filters": {one.dimension: list(one.values) for one in question.filters},
        "complete_to": None if published is None else iso(published.complete_to),
        "published_at": None if published is None else iso(published.at),
        "publication": None if published is None else published.number,
        "withheld": {"cells": answer.withheld.cells, "waiting": answer.withheld.waiting},
        "notes": list(told.notes),
    }


def _compared(comparison: Comparison, columns: tuple[str, ...], told: Told) -> dict[str, Any]:
    def moved(one: Moved) -> dict[str, Any]:
        return {
            **dict(zip(columns, one.cell, strict=True)),
            "before": one.before,
            "now": one.now,
            "change": one.change,
        }

    def change(one: Change) -> dict[str, Any]:
        return {"time": iso(one.time), "what": one.what, "tier": one.tier, "version": one.version}

    return {
        "compare": {
            "from": iso(comparison.previous.start),
            "to": iso(comparison.previous.end),
            "value": comparison.primary,
            "unit": told.answer.question.measure.units[comparison.primary],
            "moved": [moved(one) for one in comparison.moved],
            "only_before": comparison.only_before,
            "only_now": comparison.only_now,
            "withheld": {"cells": comparison.withheld.cells, "waiting": comparison.withheld.waiting},
        },
        "changes": [change(one) for one in comparison.changes],
    }


def _unit(field: pa.Field) -> str:
    return str((field.metadata or {}).get(UNIT, b"").decode())


def _shown(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value


def _json(told: Told) -> Iterator[bytes]:
    yield json.dumps(document(told), allow_nan=False, separators=(",", ":")).encode()


def _csv(told: Told) -> Iterator[bytes]:
    """RFC 4180 but for its line ends, which are LF; the names of the columns first, NULL is empty."""
    table = told.answer.table
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            text = pc.strftime(pc.cast(table.column(place), pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(place, field.name, text)
    yield ",".join(f'"{name}"' for name in table.column_names).encode() + b"\n"
    options = pyarrow.csv.WriteOptions(include_header=False)
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        piece = io.BytesIO()
        pyarrow.csv.write_csv(pa.table(batch), piece, options)
        yield piece.getvalue()


def _arrow(told: Told) -> Iterator[bytes]:
    table = _described(told)
    piece = io.BytesIO()
    with pyarrow.ipc.new_stream(piece, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            writer.write_batch(batch)
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()


def _parquet(told: Told) -> Iterator[bytes]:
    file = io.BytesIO()
    pyarrow.parquet.write_table(_described(told), file, compression="zstd")
    yield file.getvalue()


def _described(told: Told) -> pa.Table:
    """The rows with what is said beside them as metadata, JSON under names that begin with `tidegate.`."""
    facts: Mapping[str, Any] = {
        "measure": told.answer.question.measure.name,
        "title": told.answer.question.measure.title,
        **_facts(told),
    }
    return told.answer.table.replace_schema_metadata(
        {f"tidegate.{name}": json.dumps(value) for name, value in facts.items()}
    )


FORMATS: dict[str, Callable[[Told], Iterator[bytes]]] = {JSON: _json, CSV: _csv, ARROW: _arrow, PARQUET: _parquet}
"""By media type; the first is preferred where `Accept` has no preference."""
