"""The golden reports agree with each other, with the schemas, and with what two Avro libraries make of them."""

import io
import json
from collections.abc import Iterator
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest

from ingest.json_reports import encode_json
from ingest.pipeline import CUT
from schemas.avro_types import Enumeration, Field, Record
from schemas.catalogue import load_catalogue
from schemas.report_schema import ReportSchema
from tests.wire.files import FOLDER, JSON, MEDIA_TYPES, GoldenFile, cut, golden_files, sequence
from tests.wire.regenerate import made
from tests.wire.values import goldens

CATALOGUE = load_catalogue()
FILES = [pytest.param(file, id=file.name) for file in golden_files()]

PREFIX = 10
"""Marker and fingerprint."""

PLAIN, SIZED = "managed/route_window.full", "managed/route_window.sized_blocks"
"""The same report, in one form of blocks and the other."""


@pytest.mark.parametrize("file", FILES)
def test_hex_is_the_bytes(file: GoldenFile) -> None:
    """The hex file is the body, part by part."""
    assert file.from_hex == file.raw


@pytest.mark.parametrize("file", FILES)
def test_json_is_the_bytes(file: GoldenFile) -> None:
    """What the gate makes of the JSON is the golden bytes, or those of the plain file where blocks are sized."""
    written = [encode_json(report, CATALOGUE.latest[file.report]).content for report in file.reports]
    assert (written == file.messages) is (file.name != SIZED)
    assert written == GoldenFile(FOLDER / f"{PLAIN}.avro").messages or file.name != SIZED


@pytest.mark.parametrize("file", FILES)
def test_two_libraries_read_what_json_says(file: GoldenFile) -> None:
    """Two libraries read, to the last byte, what the JSON says, and the defaults where it is silent."""
    schema = CATALOGUE.latest[file.report]
    for message, report in zip(file.messages, file.reports, strict=True):
        wanted = complete(schema.root, report)
        assert comparable(fastavro_reads(schema, message)) == wanted
        assert comparable(apache_reads(schema, message)) == wanted


def fastavro_reads(schema: ReportSchema, message: bytes) -> Any:
    """The record of a message by fastavro, without its logical types."""
    plain = fastavro.parse_schema(json.loads(without_times(schema)))
    body = io.BytesIO(message[PREFIX:])
    record = fastavro.schemaless_reader(body, plain, None)
    assert not body.read()
    return record


def apache_reads(schema: ReportSchema, message: bytes) -> Any:
    """The record of a message by Apache's package, without its logical types."""
    body = io.BytesIO(message[PREFIX:])
    record = avro.io.DatumReader(avro.schema.parse(without_times(schema))).read(avro.io.BinaryDecoder(body))
    assert not body.read()
    return record


def without_times(schema: ReportSchema) -> str:
    """The schema with times as plain numbers, so that they are read as the milliseconds that JSON has."""
    return json.dumps(schema.document).replace(', "logicalType": "timestamp-millis"', "")


def complete(record: Record, said: dict[str, Any]) -> dict[str, Any]:
    """What a record says, with the defaults of what it leaves out."""
    assert said.keys() <= {field.name for field in record.fields}
    return {field.name: _complete(field, said) for field in record.fields}


def _complete(field: Field, said: dict[str, Any]) -> Any:
    value = said.get(field.name, field.default)
    inner = field.record
    if inner is None or value is None:
        return value
    return [complete(inner, item) for item in value] if isinstance(value, list) else complete(inner, value)


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """A decoded report in the form of JSON."""
    return record | {"report_id": record["report_id"].hex()}


def test_the_files_are_what_the_program_makes() -> None:
    """Bytes, hex and JSON are what `python -m tests.wire.regenerate` makes, and no other file is there."""
    wanted = {file: content for golden in goldens(CATALOGUE) for file, content in made(golden, CATALOGUE).items()}
    assert {file.name: file.read_bytes() for file in wanted} == {file.name: wanted[file] for file in wanted}
    answered = {GoldenFile(file).beside(".answer.json") for file in wanted if file.suffix in MEDIA_TYPES}
    assert set(FOLDER.glob("*/*")) == set(wanted) | answered


def test_every_report_is_there_in_two_shapes() -> None:
    """Every type of report is golden with what it requires alone, and with every field away from its default."""
    named = {file.name: file for file in golden_files()}
    for name, schema in CATALOGUE.latest.items():
        required = named[f"managed/{name}.required"].posted
        assert required.keys() == {field.name for field in schema.root.fields if not field.has_default}
        assert not list(left_at_default(schema.root, named[f"managed/{name}.full"].posted))


def left_at_default(record: Record, said: dict[str, Any]) -> Iterator[str]:
    """The fields that a report does not say, or says as their default."""
    for field in record.fields:
        if field.has_default and said.get(field.name, field.default) == field.default:
            yield field.path
        value = said.get(field.name)
        if field.record is not None:
            for item in value if isinstance(value, list) else [value] if value else []:
                yield from left_at_default(field.record, item)


def test_neighbours_differ() -> None:
    """No two neighbouring numbers of a full report are equal, so that two fields in the wrong order are seen."""
    for name, schema in CATALOGUE.latest.items():
        said = GoldenFile(FOLDER / "managed" / f"{name}.full.avro").posted
        assert not list(equal_neighbours(schema.root, said))


def equal_neighbours(record: Record, said: dict[str, Any]) -> Iterator[str]:
    """Fields with the number of the one before."""
    for before, field in zip(record.fields, record.fields[1:], strict=False):
        value = said[field.name]
        if type(value) is int and said[before.name] == value and not isinstance(field.type, Enumeration):
            yield field.path
        if field.record is not None:
            for item in value if isinstance(value, list) else [value]:
                yield from equal_neighbours(field.record, item)


def test_a_batch_is_cut_as_it_was_made() -> None:
    """A batch is its messages, each behind four bytes of length, and the media types are those of the gate."""
    assert cut(sequence([b"a", b"", b"bcd"])) == [b"a", b"", b"bcd"]
    assert sequence([b"abc"]) == b"\x00\x00\x00\x03abc"
    assert {*MEDIA_TYPES.values(), JSON} == set(CUT)
