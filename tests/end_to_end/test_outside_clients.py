"""Anyone can read what a gate wrote to Kafka: clients that nobody here wrote read every record of every topic."""

import struct
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryError

from ingest.records import CONTROL_TOPIC, SCHEMAS_TOPIC
from ingest.topics.wanted import PROBE_TOPIC
from tests.end_to_end.gate_on_kafka import (
    TIGHTENED,
    gate_on_kafka,
    loosen,
    post_everything,
    report_id,
    tighten,
)
from tests.end_to_end.outside_clients import Message, Reader, kcat, messages_of, reader_of, topics_of
from tests.running_gate import RunningGate, eventually

pytestmark = pytest.mark.kafka

NOT_AVRO = (SCHEMAS_TOPIC, PROBE_TOPIC)
"""Topics whose values are JSON, or empty."""


@pytest.fixture
def own(tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> Iterator[RunningGate]:
    """A gate that frames values as Confluent's clients do, with its own registry."""
    with gate_on_kafka(tmp_path, bootstrap=kafka_bootstrap, prefix=topic_prefix, schema_registry="own") as gate:
        yield gate


def test_confluents_clients_read_everything(own: RunningGate, kafka_bootstrap: str, topic_prefix: str) -> None:
    """Confluent's registry client and deserializer read every record, before and after a policy changed twice."""
    posted = post_everything(own, seed=1)
    tighten(own)
    posted += post_everything(own, seed=2)
    loosen(own)
    posted += post_everything(own, seed=3)
    assert own.stop() == 0
    with (
        gate_on_kafka(own.folder, bootstrap=kafka_bootstrap, prefix=topic_prefix, schema_registry="own") as again,
        reader_of(f"{again.url}/registry") as reader,
    ):
        topics = [topic for topic in topics_of(kafka_bootstrap, topic_prefix) if not topic.endswith(NOT_AVRO)]
        found = [(one, reader.read(one)) for one in messages_of(kafka_bootstrap, topics)]
        reports = [(one, record) for one, record in found if not one.topic.endswith(CONTROL_TOPIC)]
        assert Counter(one.topic.removeprefix(topic_prefix) for one, _ in reports) == posted
        assert all(one.value[:1] == b"\0" for one, _ in found)
        assert all(record["report_id"] == one.key for one, record in reports)
        # The outcomes of all policies add up to what was posted, and the gate that runs now has said its own.
        control = [record for one, record in found if one.topic.endswith(CONTROL_TOPIC)]
        counts = [count for record in control for count in record["counts"] if count["outcome"] == "accepted"]
        assert sum(count["count"] for count in counts) == sum(posted.values())
        _every_policy_is_told_apart(reader, reports, topic_prefix)


def _every_policy_is_told_apart(
    reader: Reader, reports: list[tuple[Message, dict[str, Any]]], topic_prefix: str
) -> None:
    changed = [record for one, record in reports if one.topic == topic_prefix + TIGHTENED]
    said = {record["policy_version"]: "windows_lost" in record for record in changed}
    assert said == {1: True, 2: False, 3: True}
    subject = f"{topic_prefix}{TIGHTENED}-value"
    assert subject in reader.client.get_subjects()
    assert reader.client.get_versions(subject) == [1, 2]
    first, second = (reader.client.get_version(subject, number) for number in (1, 2))
    assert reader.client.get_latest_version(subject).schema_id == second.schema_id
    assert reader.client.lookup_schema(subject, first.schema).version == 1
    assert reader.client.test_compatibility(subject, first.schema)
    assert reader.client.get_compatibility() == "FULL_TRANSITIVE"
    with pytest.raises(SchemaRegistryError) as refused:
        reader.client.register_schema(subject, Schema('{"type": "record", "name": "Mine", "fields": []}', "AVRO"))
    assert (refused.value.http_status_code, refused.value.error_code) == (403, 40301)


def test_apaches_avro_reads_everything(tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> None:
    """Without a registry, Apache's avro reads every record with the schema that the log holds under its fingerprint."""
    with gate_on_kafka(tmp_path, bootstrap=kafka_bootstrap, prefix=topic_prefix) as gate:
        posted = post_everything(gate, seed=1)
        tighten(gate)
        posted += post_everything(gate, seed=2)
    held = topic_prefix + SCHEMAS_TOPIC
    topics = [topic for topic in topics_of(kafka_bootstrap, topic_prefix) if not topic.endswith(NOT_AVRO)]
    schemas = {one.key: avro.schema.parse(one.value.decode()) for one in messages_of(kafka_bootstrap, [held])}
    found = messages_of(kafka_bootstrap, topics)
    for one in found:
        body = BytesIO(one.value)
        assert body.read(2) == b"\xc3\x01"
        record = avro.io.DatumReader(schemas[body.read(8)]).read(avro.io.BinaryDecoder(body))
        assert not body.read()
        assert isinstance(record, dict)
        assert one.topic.endswith(CONTROL_TOPIC) or record["report_id"] == one.key
    counted = Counter(one.topic.removeprefix(topic_prefix) for one in found)
    assert {topic: counted[topic] for topic in posted} == posted


def test_kcat_shows_keys_and_headers(own: RunningGate, kafka_bootstrap: str, topic_prefix: str) -> None:
    """With kcat one sees the report's id as the key, only headers that the tier lists, and a schema's id."""
    post_everything(own, seed=1)
    for tier, time_told in (("managed", True), ("contractor", False)):
        topic = f"tidegate.{tier}.route_window.v1"
        printed = kcat("-C", "-q", "-e", "-b", kafka_bootstrap, "-t", topic_prefix + topic, "-f", "%k|%h|%s")
        key, headers, value = printed.split(b"|", 2)
        assert key == report_id(topic, 1)
        told = dict(header.split("=", 1) for header in headers.decode().split(","))
        assert told["ce_id"] == key.hex()
        assert (told["ce_type"], told["ce_source"]) == ("tidegate.route_window.v1", f"/t/{tier}")
        assert ("ce_time" in told) is time_told
        assert set(told) <= set(own.catalogue.tiers[tier].record.headers)
        (schema_id,) = struct.unpack_from(">I", value, 1)
        written = own.get(f"/registry/schemas/ids/{schema_id}/schema").document
        assert written["namespace"] == "tidegate.stripped.route_window.v1"


def test_gates_agree_on_ids(own: RunningGate, tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> None:
    """A second gate on the same topics serves the same, and soon what the first one added, whichever is asked."""
    with gate_on_kafka(
        tmp_path / "second", bootstrap=kafka_bootstrap, prefix=topic_prefix, schema_registry="own"
    ) as other:
        subject = f"{topic_prefix}{TIGHTENED}-value"
        path = f"/registry/subjects/{subject}/versions"
        assert own.get(path).document == other.get(path).document == [1]
        tighten(own)
        eventually(lambda: other.get(path).document == [1, 2], "the second gate serves what the first one appended")
        assert own.get(f"{path}/2").document == other.get(f"{path}/2").document
