"""A gate that is its own schema registry, on the log that ships: Confluent's client reads it, strangers are bounded."""

from collections.abc import Iterator

import pytest

from ingest.records import SCHEMAS_TOPIC
from ingest.registry.refusals import Refusal
from tests.end_to_end.gate_on_kafka import TIGHTENED, loosen, post_everything, tighten
from tests.end_to_end.outside_clients import Message, reader_of
from tests.running_gate import RunningGate, running_gate, tier_files

VERSIONS = f"/registry/subjects/{TIGHTENED}-value/versions"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate under a copy of the policies that ship."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers"), schema_registry="own") as running:
        yield running


def test_confluents_client_reads_every_value(gate: RunningGate) -> None:
    """Every value in the log, the outcomes among them, is read with the schema that its id leads to at the gate."""
    posted = post_everything(gate, seed=1)
    tighten(gate)
    posted += post_everything(gate, seed=2)
    loosen(gate)
    posted += post_everything(gate, seed=3)
    assert gate.get(VERSIONS).document == [1, 2]
    entries = [entry for entry in gate.entries() if entry.topic != SCHEMAS_TOPIC]
    with reader_of(f"{gate.url}/registry") as reader:
        read = [
            (entry, reader.read(Message(entry.topic, entry.key, entry.value, list(entry.headers)))) for entry in entries
        ]
    reports = [(entry, record) for entry, record in read if "report_id" in record]
    assert len(reports) == sum(posted.values())
    assert all(record["report_id"] == entry.key for entry, record in reports)
    assert len(entries) > len(reports)


def test_strangers_are_bounded(gate: RunningGate) -> None:
    """Who posts more than a schema can be is refused, on a tier's endpoint as well, and the gate goes on."""
    for path in ("/registry", "/t/managed/registry"):
        answer = gate.request("POST", f"{path}/subjects/{TIGHTENED}-value", b" " * 100_000, {})
        assert (answer.status, answer.document["error_code"]) == (413, Refusal.BODY_TOO_LARGE.value.error_code)
        assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert gate.request("DELETE", VERSIONS.removesuffix("/versions"), b"", {}).status == 403
    assert gate.get("/registry/subjects").status == 200
    assert not gate.events("request_failed")
