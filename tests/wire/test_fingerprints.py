"""Which fingerprint a message begins with, and which libraries compute another one from the same schema."""

import json

import avro.schema
import pytest

from schemas.catalogue import load_catalogue
from schemas.report_schema import ReportSchema
from tests.running_gate import RunningGate
from tests.wire.files import golden_files
from tests.wire.fingerprints import TIME_IN_GO, TIME_IN_PYTHON, canonical, crc_64_avro
from tests.wire.golden_gate import gate_of_today

CATALOGUE = load_catalogue()


@pytest.mark.parametrize("schema", CATALOGUE.schemas, ids=lambda schema: schema.label)
def test_it_is_that_of_the_specification(schema: ReportSchema) -> None:
    """The fingerprint is the CRC-64-AVRO of the specification over its canonical form, in which a time is a long."""
    assert canonical(schema).count('"type":"long"}') >= 2
    assert crc_64_avro(canonical(schema)) == schema.fingerprint


@pytest.mark.parametrize("schema", CATALOGUE.schemas, ids=lambda schema: schema.label)
def test_python_avro_computes_another(schema: ReportSchema) -> None:
    """Apache's Python package writes the type of a time as an object, and so comes to another fingerprint."""
    computed = avro.schema.parse(json.dumps(schema.document)).fingerprint("CRC-64-AVRO")
    assert computed == crc_64_avro(canonical(schema, time=TIME_IN_PYTHON)) != schema.fingerprint


def test_every_golden_message_begins_with_it() -> None:
    """Marker and fingerprint are the first ten bytes of every golden message."""
    for file in golden_files():
        schema = CATALOGUE.latest[file.report]
        assert {message[:10] for message in file.messages} == {b"\xc3\x01" + schema.fingerprint}


def test_the_others_are_refused_and_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A message with a fingerprint that a library computed in its own way is refused, with the advice to keep it."""
    schema = CATALOGUE.latest["health_window"]
    with gate_of_today(tmp_path_factory.mktemp("gate")) as gate:
        assert [refusal(gate, crc_64_avro(canonical(schema, time=time))) for time in (TIME_IN_GO, TIME_IN_PYTHON)] == [
            (422, "unknown_schema", "keep"),
            (422, "unknown_schema", "keep"),
        ]


def refusal(gate: RunningGate, fingerprint: bytes) -> tuple[int, str, str]:
    """Status, reason and action for a message that begins with another fingerprint."""
    answer = gate.post("managed", "health_window", b"\xc3\x01" + fingerprint + bytes(100))
    return answer.status, answer.document["reason"], answer.document["action"]
