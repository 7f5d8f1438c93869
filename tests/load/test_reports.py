"""The seeded reports: valid under their schemas for every reader, different from one another, the same for a seed."""

import io
from random import Random

import avro.io
import avro.schema
import fastavro
import pytest
from fastavro.validation import validate

from ingest.decode import REPORT_ID_SIZE
from ingest.json_reports import Message
from ingest.pipeline import AVRO, Rules, Submission, strip_message
from ingest.report import StrippedReport
from load.reports import ROWS, content, encode, make_report, messages, renewed
from schemas.catalogue import load_catalogue
from schemas.report_schema import ReportSchema

CATALOGUE = load_catalogue()
NOW = 1_795_255_200_000
SEED = 20
MANY = 50

every_report = pytest.mark.parametrize("schema", CATALOGUE.latest.values(), ids=list(CATALOGUE.latest))


def made(schema: ReportSchema, *, count: int = MANY, seed: int = SEED) -> list[bytes]:
    """Messages of one report type."""
    return list(messages(schema, count=count, seed=seed, now=NOW))


def body(schema: ReportSchema, message: bytes) -> io.BytesIO:
    """The Avro body of a message, whose prefix must be that of the schema."""
    assert message.startswith(schema.message_prefix)
    return io.BytesIO(message[len(schema.message_prefix) :])


@every_report
def test_fastavro_reads_every_message(schema: ReportSchema) -> None:
    """A message decodes with fastavro to its last byte, and what comes out is valid under the schema."""
    for message in made(schema):
        rest = body(schema, message)
        assert validate(fastavro.schemaless_reader(rest, schema.parsed), schema.parsed)
        assert rest.read() == b""


@every_report
def test_apache_avro_reads_the_same(schema: ReportSchema) -> None:
    """Apache's reader takes a message to its last byte and finds the same datum as fastavro."""
    parsed = avro.schema.make_avsc_object(schema.document)
    reader = avro.io.DatumReader(parsed)
    for message in made(schema, count=5):
        rest = body(schema, message)
        by_fastavro = fastavro.schemaless_reader(body(schema, message), schema.parsed)
        by_apache = reader.read(avro.io.BinaryDecoder(rest))
        assert rest.read() == b""
        assert encode(schema, _plain(by_apache)) == message
        assert encode(schema, _plain(by_fastavro)) == message


def _plain(datum: object) -> dict[str, object]:
    assert isinstance(datum, dict)
    return datum


@every_report
def test_gate_lets_every_message_through(schema: ReportSchema) -> None:
    """The gate itself finds nothing wrong with a message in the strictest check it has."""
    rules = Rules(catalogue=CATALOGUE, names={}, location="local", key=lambda *_: bytes(32))
    for message in made(schema):
        submission = Submission(tier="managed", report=schema.name, media_type=AVRO, coding="", body=message)
        stripped = strip_message(Message(message), submission, rules, now=NOW)
        assert isinstance(stripped, StrippedReport)


@every_report
def test_contents_differ(schema: ReportSchema) -> None:
    """No two messages say the same, their report ids left out of the comparison."""
    assert len({content(message) for message in made(schema, count=200)}) == 200


@every_report
def test_seed_decides(schema: ReportSchema) -> None:
    """The same seed and time give the same messages, and another seed gives others."""
    assert made(schema) == made(schema)
    assert set(made(schema)).isdisjoint(made(schema, seed=SEED + 1))


def test_reports_with_rows_have_eight() -> None:
    """A report that is an array of rows has as many as the figures of the bench are about."""
    with_rows = [schema for schema in CATALOGUE.latest.values() if "rows" in schema.fields]
    assert "route_window" in {schema.name for schema in with_rows}
    for schema in with_rows:
        assert len(make_report(schema, Random(SEED), now=NOW)["rows"]) == ROWS == 8


@every_report
def test_renewed_message_differs_in_its_id_only(schema: ReportSchema) -> None:
    """A renewed message is the same report under another id."""
    (message,) = made(schema, count=1)
    again = renewed(message, Random(SEED))
    old, new = (fastavro.schemaless_reader(body(schema, one), schema.parsed) for one in (message, again))
    assert isinstance(old, dict)
    assert isinstance(new, dict)
    assert len(new["report_id"]) == REPORT_ID_SIZE
    assert new["report_id"] != old["report_id"]
    assert new | {"report_id": old["report_id"]} == old
    assert content(again) == content(message)
