"""`python -m load.answer_once DATA END QUESTION`: one question, asked once; prints what its answer took.

For `load.answers_part`, in a process of its own, so that the peak of memory is that of one answer and nothing of it is
in DuckDB's cache. What runs is what `GET /v1/answers/<measure>` runs behind its token, until the last byte of the body.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from aggregators.answering.api import tell
from aggregators.answering.formats import ARROW, JSON, encode
from aggregators.answering.problems import Refused
from aggregators.answering.question import Question, read_question
from aggregators.publication.measure import Grain, Measure
from aggregators.publication.measures import load_measures
from aggregators.rollups.rollups import Rollups
from aggregators.times import naive_utc
from ingest.access.token_view import Credential
from ingest.clock import SystemClock
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import DocumentKind, DocumentVersion, OperatorDocuments
from load.children import peak_bytes
from load.fleet_log import ROLLUPS_NAME
from load.ninety_days import DAYS


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is put: its parameters but for the span, the last `days` before the end; `grain` is read."""

    label: str
    measure: str
    media_type: str
    grain: Grain
    days: int
    parameters: Mapping[str, str]


QUESTIONS = {
    "routes": Asked(
        "R1 by route and region, hourly",
        "R1",
        ARROW,
        "hour",
        DAYS,
        {"by": "route,region", "bucket": "hour"},
    ),
    "latency": Asked(
        "R4 by route, daily",
        "R4",
        JSON,
        "day",
        DAYS,
        {"by": "route", "bucket": "day"},
    ),
    "hourly latency": Asked(
        "R4 by route, hourly",
        "R4",
        ARROW,
        "hour",
        DAYS,
        {"by": "route", "bucket": "hour"},
    ),
    "fallbacks": Asked(
        f"F1, {DAYS // 2} days against those before",
        "F1",
        JSON,
        "day",
        DAYS // 2,
        {"by": "planned_route,actual_route,fallback_reason", "compare": "previous"},
    ),
}


class Source:
    """As `aggregators.answering.answers.AnswerSource`, without anybody who may not ask."""

    def __init__(self, data: Path, rollups: Rollups, measures: Mapping[str, Measure]) -> None:
        self.measures = measures
        self._data = data
        self._rollups = rollups

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self._rollups.cursor()

    def check(self, token: bytes | None) -> Credential:
        raise NotImplementedError("no token is asked for behind the door")

    def notes(self) -> Sequence[str]:
        return []

    def history(self, kind: DocumentKind) -> Sequence[DocumentVersion]:
        with closing(OperatorDocuments(self._data / OPERATOR_FILE, SystemClock())) as documents:
            return documents.history(kind)

    def now_ms(self) -> int:
        return SystemClock().now_ms()


def ask(data: Path, asked: Asked, *, end: datetime) -> dict[str, Any]:
    """What the answer took, in seconds and bytes; `refused` is the reason where there was none."""
    measures = load_measures()
    measure = measures[asked.measure]
    rollups = Rollups.open(data / ROLLUPS_NAME)
    try:
        source, before = Source(data, rollups, measures), peak_bytes()
        taken = _timed(lambda: _body(source, _question(measure, asked, end=end), asked.media_type))
        taken |= {"peak": peak_bytes(), "before": before}
        return {**taken, "cells": _cells(rollups, _question(measure, asked, end=end), asked.grain)}
    finally:
        rollups.close()


def _question(measure: Measure, asked: Asked, *, end: datetime) -> Question:
    span = {"from": (end - timedelta(days=asked.days)).isoformat(), "to": end.isoformat()}
    return read_question(measure, list({**span, **asked.parameters}.items()), now=end)


def _body(source: Source, question: Question, media_type: str) -> tuple[int, int]:
    """Rows and bytes of the answer."""
    told = tell(question, source, media_type)
    return told.answer.table.num_rows, sum(len(piece) for piece in encode(told, media_type))


def _timed(work: Callable[[], tuple[int, int]]) -> dict[str, Any]:
    cpu, began, refused, rows, size = time.process_time(), time.perf_counter(), None, 0, 0
    try:
        rows, size = work()
    except Refused as error:
        refused = error.reason.value
    return {
        "cpu": time.process_time() - cpu,
        "elapsed": time.perf_counter() - began,
        "rows": rows,
        "bytes": size,
        "refused": refused,
    }


def _cells(rollups: Rollups, question: Question, grain: Grain) -> int:
    """The published cells that the answer was made of, the span before included where it is compared."""
    start = question.span.previous.start if question.compare else question.span.start
    with rollups.cursor() as cursor:
        [(cells,)] = cursor.execute(
            f"SELECT count(*) FROM {question.measure.table} "  # noqa: S608  # the name of a measure
            "WHERE cube = ? AND grain = ? AND start >= ? AND start < ?",
            [question.cube.name, grain, start, question.span.end],
        ).fetchall()
    return int(cells)


if __name__ == "__main__":
    print(json.dumps(ask(Path(sys.argv[1]), QUESTIONS[sys.argv[3]], end=naive_utc(int(sys.argv[2])))))
