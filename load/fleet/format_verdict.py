"""Reads one answer in every format; JSON is compared with the truth elsewhere, so the others are compared with JSON."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from load.fleet.asking import Api, Asked, NoGoodAnswer, parameters, rows_of
from load.fleet.findings import Findings
from load.fleet.truth_cells import CubeName

ANSWER = CubeName("R4", ("route",), "day")
"""It has whole numbers, fractions, texts, times, and values that are absent."""

PlainRow = dict[str, str]


def compare_formats(api: Api, asked: Asked, findings: Findings) -> None:
    """CSV, Arrow and Parquet have the rows that JSON has, in the same order."""
    question = parameters(asked.windows, ANSWER.grain, ("tier", *ANSWER.dims))
    try:
        rows = rows_of(api.pages(ANSWER.measure, question))
        bodies = {kind: api.get(ANSWER.measure, kind, question) for kind in FORMATS}
    except NoGoodAnswer as answer:
        findings.add(f"{ANSWER.measure} in every format: {answer}")
        return
    if not rows:
        findings.add(f"{ANSWER.measure} in every format: no rows")
    findings.compared[ANSWER.measure] += len(rows)
    expected = [{column: _plain(value) for column, value in row.items()} for row in rows]
    for kind, body in bodies.items():
        if _read(kind, body) != expected:
            findings.add(f"{ANSWER.measure} as {kind}: other rows than in JSON")


def _read(kind: str, body: bytes) -> list[PlainRow] | None:
    """The rows in a body; None where it cannot be read."""
    try:
        return FORMATS[kind](body)
    except (pa.ArrowInvalid, csv.Error, UnicodeDecodeError):
        return None


def _plain(value: Any) -> str:
    """A value as CSV can have it: a number by what it is worth, a time in ISO 8601, nothing for what is absent."""
    match value:
        case None:
            return ""
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case int() | float():
            return repr(float(value))
    return str(value)


def _csv_rows(body: bytes) -> list[PlainRow]:
    rows = csv.DictReader(io.StringIO(body.decode()))
    return [{name: _number_or_text(value) for name, value in row.items()} for row in rows]


def _number_or_text(text: str) -> str:
    try:
        return repr(float(text))
    except ValueError:
        return text


def _arrow_rows(body: bytes) -> list[PlainRow]:
    return _table_rows(pyarrow.ipc.open_stream(body).read_all())


def _parquet_rows(body: bytes) -> list[PlainRow]:
    return _table_rows(pyarrow.parquet.read_table(io.BytesIO(body)))


def _table_rows(table: pa.Table) -> list[PlainRow]:
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]


FORMATS: dict[str, Callable[[bytes], list[PlainRow]]] = {
    "text/csv": _csv_rows,
    "application/vnd.apache.arrow.stream": _arrow_rows,
    "application/vnd.apache.parquet": _parquet_rows,
}
