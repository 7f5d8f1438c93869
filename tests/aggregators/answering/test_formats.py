"""Formats: the same rows in each, read back by what an analyst reads them with; and which one `Accept` asks for."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.answering.answers import NO_UNIT, UNIT, Answer, Published, Withheld, _plain
from aggregators.answering.api import tell
from aggregators.answering.formats import ARROW, CSV, FORMATS, JSON, PARQUET, Told, encode, headers, negotiate
from aggregators.answering.problems import Refusal, Refused
from aggregators.times import naive_utc
from tests.aggregators.published_cells import DEVICES, MEASURES, NOW, Source, empty_source, fill_every_cube

WIDE = {"from_": "2026-11-18", "to": "2026-11-21"}
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    """Every cube of every measure, filled; nothing here writes to it."""
    made = empty_source()
    made.said = ['The follower is "behind" by 17 entries; 5 > 3.']
    fill_every_cube(made, [NOW.replace(hour=0) - timedelta(days=1), NOW.replace(hour=0)])
    yield made
    made.connection.close()


def body(told: Told, media_type: str) -> bytes:
    """The whole body."""
    return b"".join(encode(told, media_type))


def time_of(text: str) -> datetime:
    """A time as JSON and CSV show it, as Arrow has it."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def read_json(told: Told) -> Rows:
    """The rows of the JSON document."""
    document = json.loads(body(told, JSON))
    times = {column["name"] for column in document["columns"] if column["type"] == "time"}
    return [
        {name: time_of(value) if name in times and value else value for name, value in row.items()}
        for row in document["rows"]
    ]


def read_csv(told: Told) -> Rows:
    """The rows of the CSV, by the types of the answer, since CSV has none."""
    kinds = {field.name: field.type for field in told.answer.table.schema}
    rows = csv.DictReader(io.StringIO(body(told, CSV).decode(), newline=""))
    return [{name: _typed(value, kinds[name]) for name, value in row.items()} for row in rows]


def _typed(text: str, kind: pa.DataType) -> Any:
    if pa.types.is_timestamp(kind):
        return time_of(text) if text else None
    if kind == pa.string():
        return text or None
    return None if not text else int(text) if kind == pa.int64() else float(text)


def read_arrow(told: Told) -> Rows:
    """The rows of the Arrow stream."""
    rows: Rows = pyarrow.ipc.open_stream(body(told, ARROW)).read_all().to_pylist()
    return rows


def read_parquet(told: Told) -> Rows:
    """The rows of the Parquet file."""
    rows: Rows = pyarrow.parquet.read_table(io.BytesIO(body(told, PARQUET))).to_pylist()
    return rows


@pytest.mark.parametrize("measure", MEASURES)
def test_every_format_has_the_same_rows(source: Source, measure: str) -> None:
    """The rows of an answer are the same in JSON, CSV, Arrow and Parquet, and the devices' bound is in none of them."""
    for bucket in (None, "day"):
        told = tell(source.question(measure, **WIDE, **({} if bucket is None else {"bucket": bucket})), source, CSV)
        rows = told.answer.table.to_pylist()
        assert rows != []
        assert read_json(told) == read_csv(told) == read_arrow(told) == read_parquet(told) == rows
        for media_type in (JSON, CSV):
            assert str(DEVICES).encode() not in body(told, media_type)
        for read in (
            pyarrow.ipc.open_stream(body(told, ARROW)).read_all(),
            pyarrow.parquet.read_table(io.BytesIO(body(told, PARQUET))),
        ):
            assert "devices" not in read.column_names
            assert DEVICES not in [value for column in read.columns for value in column.to_pylist()]


TEXTS = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.none() | st.integers(-(2**63), 2**63 - 1)
TIMES = st.none() | st.integers(946_684_800, 4_070_908_800).map(lambda seconds: naive_utc(seconds * 1000))
Row = tuple[str | None, int | None, float | None, datetime | None]


@given(rows=st.lists(st.tuples(TEXTS, COUNTS, NUMBERS, TIMES), max_size=20))
@settings(deadline=None)
def test_any_rows_come_back(source: Source, rows: list[Row]) -> None:
    """Whatever texts, numbers and times are in an answer come back from each format as they were."""
    told = made_up(source, rows)
    expected = told.answer.table.to_pylist()
    assert read_json(told) == read_csv(told) == read_arrow(told) == read_parquet(told) == expected


def made_up(source: Source, rows: list[Row]) -> Told:
    """An answer with rows of one's own."""
    kinds = {"route": pa.string(), "tasks": pa.int64(), "share": pa.float64(), "start": pa.timestamp("us")}
    schema = pa.schema([pa.field(name, kind, metadata={UNIT: NO_UNIT}) for name, kind in kinds.items()])
    table = pa.Table.from_pylist([dict(zip(kinds, row, strict=True)) for row in rows], schema)
    answer = Answer(source.question("R1", **WIDE), table, Published(1, NOW, NOW), Withheld(3, 2), None)
    return Told(answer, tuple(source.said))


def test_duckdb_reads_what_is_downloaded(source: Source, tmp_path: Path) -> None:
    """DuckDB reads the Parquet file and the CSV with the same rows and types."""
    told = tell(source.question("R4", bucket="day", **WIDE), source, PARQUET)
    for name, media_type in (("a.parquet", PARQUET), ("a.csv", CSV)):
        (tmp_path / name).write_bytes(body(told, media_type))
    with duckdb.connect() as connection:
        parquet = connection.read_parquet(str(tmp_path / "a.parquet"))
        text = connection.read_csv(str(tmp_path / "a.csv"))
        columns = "epoch_ms(start), route, tasks, attempts_per_task, cold_starts, latency_p50, beyond"
        assert parquet.project(columns).fetchall() == text.project(columns).fetchall() != []
        assert [str(kind) for kind in text.types[:3]] == ["TIMESTAMP WITH TIME ZONE", "VARCHAR", "BIGINT"]


def test_what_is_said_beside_the_rows(source: Source) -> None:
    """The document, the headers and the metadata of the schema say the same about an answer."""
    source_told = tell(source.question("R1", tier="byod", **WIDE), source, JSON)
    told = Told(source_told.answer, source_told.notes)
    document = json.loads(body(told, JSON))
    stream = pyarrow.ipc.open_stream(body(told, ARROW)).schema
    metadata = {name.decode().removeprefix("tidegate."): json.loads(value) for name, value in stream.metadata.items()}
    assert metadata == {name: value for name, value in document.items() if name not in ("columns", "rows", "next")}
    beside = headers(told)
    assert beside["Tidegate-Complete-To"] == document["complete_to"] == "2026-11-20T12:00:00Z"
    assert json.loads(beside["Tidegate-Notes"]) == document["notes"]
    assert [field.metadata[UNIT].decode() for field in stream] == [column["unit"] for column in document["columns"]]
    assert document["filters"] == {"tier": ["byod"]}
    assert (document["by"], document["bucket"], document["publication"]) == (["route"], None, 1)
    assert document["columns"][2] == {"name": "tasks", "type": "integer", "unit": "{task}"}


def test_no_header_holds_what_was_sent(source: Source) -> None:
    """Values that were asked for are in no header, whatever they are."""
    told = tell(source.question("R1", route="Zq9\r\nX-Evil: 1", **WIDE), source, CSV)
    assert "Zq9" not in repr(headers(told))
    assert all(value.isascii() and value.isprintable() for value in headers(told).values())


def test_numbers_that_are_none_are_null() -> None:
    """A query that gives infinity, NaN or more than 64 bits gives NULL or a rounded number, in every format alike."""
    assert _plain(pa.chunked_array([[1.5, float("inf"), float("nan"), None]])).to_pylist() == [1.5, None, None, None]
    wide = pa.decimal128(38, 0)
    assert _plain(pa.chunked_array([[7, None]], wide)).type == pa.int64()
    assert _plain(pa.chunked_array([[2**63, None]], wide)).to_pylist() == [2.0**63, None]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param(None, JSON, id="no header"),
        pytest.param("", JSON, id="an empty one"),
        pytest.param("*/*", JSON, id="anything"),
        pytest.param("text/csv", CSV, id="by name"),
        pytest.param("TEXT/CSV; charset=utf-8", CSV, id="in capitals, with a parameter"),
        pytest.param("text/*", CSV, id="by its family"),
        pytest.param("application/*", JSON, id="the first of a family"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", JSON, id="a browser"),
        pytest.param(f"{JSON};q=0.5, {PARQUET};q=0.9", PARQUET, id="by quality"),
        pytest.param(f"*/*, {JSON};q=0", CSV, id="anything but"),
        pytest.param(f"{ARROW};q=0.2, text/*;q=0.1", ARROW, id="a family of less quality"),
        pytest.param(f"text/*;q=0.9, {CSV};q=0.1, {JSON};q=0.5", JSON, id="the name beats its family"),
        pytest.param(f"{JSON};q=x, {CSV}", CSV, id="a quality that is none"),
        pytest.param(f"{JSON};q=1.5, {CSV};q=0.1", CSV, id="a quality above one"),
    ],
)
def test_accept(accept: str | None, media_type: str) -> None:
    """The format is the one that Accept prefers."""
    assert negotiate(accept) == media_type


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "*/*;q=0", "application/xml, image/*", ";;,"])
def test_formats_that_are_not_offered(accept: str) -> None:
    """Where Accept takes none of the formats, the refusal lists them."""
    with pytest.raises(Refused) as caught:
        negotiate(accept)
    assert caught.value.reason is Refusal.NOT_ACCEPTABLE
    assert caught.value.offered == tuple(FORMATS)
