"""Anyone can read what a gate wrote to Kafka: clients that nobody here wrote read every record of a fleet's run."""

import struct
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryError

from ingest.records import CONTROL_TOPIC, ID_HEADER, SCHEMAS_TOPIC, TOPIC_HEADER
from ingest.topics.wanted import PROBE_TOPIC
from load.fleet.search import Place, search
from tests.end_to_end.fleet_on_kafka import LOOSE, LOOSE_AGAIN, TIGHT, VERSIONS, FleetRun, Posted, run_fleet
from tests.end_to_end.fleet_truth import FleetTruth
from tests.end_to_end.gate_on_kafka import TIGHTENED, gate_on_kafka, report_id, tighten
from tests.end_to_end.outside_clients import Message, Reader, kcat, kcat_listings, messages_of, reader_of, topics_of
from tests.real_kafka import OURS
from tests.running_gate import RunningGate, eventually

pytestmark = pytest.mark.kafka

NOT_AVRO = (SCHEMAS_TOPIC, PROBE_TOPIC)
"""Topics whose values are JSON, or empty."""

DEVICES = 60
DEVICES_FOR_APACHE = 20
"""Apache's avro takes some milliseconds a record."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """A run, and every Avro record of it as some client read it; topics without the run's prefix."""

    run: FleetRun
    records: list[tuple[Message, Record]]

    @property
    def reports(self) -> list[tuple[Message, Record]]:
        return [(message, record) for message, record in self.records if message.topic != CONTROL_TOPIC]

    def accepted_by_tier(self) -> Counter[str]:
        """What the gate's own account in tidegate.control says."""
        found: Counter[str] = Counter()
        for message, record in self.records:
            if message.topic == CONTROL_TOPIC:
                found.update({one["tier"]: one["count"] for one in record["counts"] if one["outcome"] == "accepted"})
        return found


def read_everything(run: FleetRun, bootstrap: str, decode: Callable[[Message], Record]) -> Read:
    """Every message of every topic whose values are Avro."""
    topics = [topic for topic in topics_of(bootstrap, run.prefix) if not topic.endswith(NOT_AVRO)]
    messages = messages_of(bootstrap, topics)
    return Read(run, [(one._replace(topic=one.topic.removeprefix(run.prefix)), decode(one)) for one in messages])


def new_prefix() -> str:
    """What the topics of one run begin with."""
    return f"{OURS}{uuid.uuid4().hex[:8]}."


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> FleetRun:
    """A fleet's run on a gate that frames values as Confluent's clients do, with its own registry."""
    folder = tmp_path_factory.mktemp("own")
    return run_fleet(folder, bootstrap=kafka_bootstrap, prefix=new_prefix(), devices=DEVICES, schema_registry="own")


@pytest.fixture(scope="module")
def registry(own: FleetRun, kafka_bootstrap: str) -> Iterator[Reader]:
    """Confluent's clients of the registry of a gate that was started on the run's topics when the run was over."""
    with (
        gate_on_kafka(own.gate.folder, bootstrap=kafka_bootstrap, prefix=own.prefix, schema_registry="own") as again,
        reader_of(f"{again.url}/registry") as reader,
    ):
        yield reader


@pytest.fixture(scope="module")
def by_confluent(own: FleetRun, registry: Reader, kafka_bootstrap: str) -> Read:
    """The run as Confluent's deserializer reads it."""
    return read_everything(own, kafka_bootstrap, registry.read)


@pytest.fixture(scope="module")
def by_apache(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Read:
    """Another run, without a registry, as Apache's avro reads it with what the log holds under each fingerprint."""
    folder = tmp_path_factory.mktemp("plain")
    run = run_fleet(folder, bootstrap=kafka_bootstrap, prefix=new_prefix(), devices=DEVICES_FOR_APACHE)
    held = messages_of(kafka_bootstrap, [run.prefix + SCHEMAS_TOPIC])
    schemas = {one.key: avro.schema.parse(one.value.decode()) for one in held}
    return read_everything(run, kafka_bootstrap, partial(decoded_by_apache, schemas))


def decoded_by_apache(schemas: dict[bytes, avro.schema.Schema], message: Message) -> Record:
    """The record in a single-object message."""
    body = BytesIO(message.value)
    assert body.read(2) == b"\xc3\x01"
    record = avro.io.DatumReader(schemas[body.read(8)]).read(avro.io.BinaryDecoder(body))
    assert not body.read()
    assert isinstance(record, dict)
    return record


@pytest.fixture(params=["by_confluent", "by_apache"])
def read(request: pytest.FixtureRequest) -> Read:
    """What each of the two read."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Read)
    return found


def test_every_report_is_read_once(read: Read) -> None:
    """Each topic has every report that got a 202 under each version of the policies, once for each 202, and no more."""
    found = Counter(Posted(one.topic, record["policy_version"], record["report_id"]) for one, record in read.reports)
    assert read.run.is_stored(read.run.posted, found)
    assert {(one.topic, one.version) for one in found} == {
        (plan.topic, version) for plan in read.run.gate.catalogue.plans.values() for version in VERSIONS
    }
    assert read.run.account.is_whole
    assert all(one.key == record["report_id"] for one, record in read.reports)


def test_the_account_is_read(read: Read) -> None:
    """The outcomes of all policies add up, by tier, to what the fleet was told."""
    told = Counter(one.topic.split(".")[1] for one in read.run.posted.elements())
    assert read.run.is_stored(told, read.accepted_by_tier())


def test_every_report_says_what_the_fleet_did(read: Read) -> None:
    """Each record has the values of its report that its version of the policy leaves, by the fleet's own truth."""
    truth = FleetTruth(read.run)
    known = [(tier_of(one), record) for one, record in read.reports if truth.knows(record["report_id"])]
    told = Counter[str]()
    for (tier, _), number in read.run.account.accepted.items():
        told[tier] += number
    assert read.run.is_stored(told, Counter(tier for tier, _ in known))
    assert Counter(different for _, record in known for different in truth.differences(record)) == Counter()


def test_tasks_by_tier_and_route(read: Read) -> None:
    """The tasks in route_window, each report once, are the fleet's: by tier, and by route where no device folds any."""
    fleet, truth = read.run.fleet, FleetTruth(read.run)
    once = {record["report_id"]: (tier_of(one), record) for one, record in read.reports if "route_window" in one.topic}
    found = Counter[tuple[str, str]]()
    for tier, record in once.values():
        for row in record["rows"] if truth.knows(record["report_id"]) else []:
            found[tier, row["actual_route"]] += row["tasks"]
    did = Counter((fleet.devices[task.device].tier, task.actual_route) for task in fleet.tasks)
    assert routes_of(found, "managed") == routes_of(did, "managed")
    for tier in ("byod", "contractor"):
        assert sum(routes_of(found, tier).values()) == sum(routes_of(did, tier).values())


def tier_of(message: Message) -> str:
    """The tier in the name of a topic."""
    return message.topic.split(".")[1]


def routes_of(tasks: Counter[tuple[str, str]], tier: str) -> dict[str, int]:
    """Tasks by route, of one tier."""
    return {route: number for (of, route), number in tasks.items() if of == tier}


def test_what_was_tightened_away_is_missing_under_that_policy_alone(read: Read) -> None:
    """Records of the tightened policies do not have what these drop; all those of the policies before and after do."""
    said: dict[tuple[str, int], set[bool]] = {}
    rows: dict[tuple[str, int], set[bool]] = {}
    for one, record in read.reports:
        version = record["policy_version"]
        said.setdefault((one.topic, version), set()).add(record.get("hardware_tier") is not None)
        if "route_window" in one.topic:
            found = rows.setdefault((tier_of(one), version), set())
            found.update(row.get("attempts") is not None for row in record["rows"])
    topics = {plan.topic for plan in read.run.gate.catalogue.plans.values()}
    kept = {LOOSE: {True}, TIGHT: {False}, LOOSE_AGAIN: {True}}
    assert said == {(topic, version): kept[version] for topic in topics for version in VERSIONS}
    assert rows == {(tier, version): kept[version] for tier in read.run.gate.catalogue.tiers for version in VERSIONS}


def test_nothing_planted_is_in_any_message(read: Read, kafka_bootstrap: str) -> None:
    """No key, header or value of any topic, as it is stored or as it reads, has an identifier that was sent."""
    messages = messages_of(kafka_bootstrap, topics_of(kafka_bootstrap, read.run.prefix))
    model, report = "vendor-large", "tidegate.managed.route_window.v1"
    places = {
        "keys": Place([one.key for one in messages], report_id(report, LOOSE).decode()),
        "headers": Place([one.headers for one in messages], "tidegate.route_window.v1"),
        "values": Place([one.value for one in messages], model),
        "values as they read": Place([record for _, record in read.records], model),
    }
    searched = search(places, read.run.planted)
    assert searched.leaks == ()
    assert searched.without_control == ()


def test_the_registry_tells_policies_apart(own: FleetRun, registry: Reader) -> None:
    """Tightened and loosened again, a policy has two compatible versions in each subject, which nobody may add to."""
    client = registry.client
    subjects = {f"{own.prefix}{plan.topic}-value" for plan in own.gate.catalogue.plans.values()}
    assert subjects <= set(client.get_subjects())
    assert {tuple(client.get_versions(subject)) for subject in subjects} == {(1, 2)}
    assert client.get_compatibility() == "FULL_TRANSITIVE"
    for subject in subjects:
        first, second = (client.get_version(subject, number) for number in (1, 2))
        assert client.get_latest_version(subject).schema_id == second.schema_id
        assert client.lookup_schema(subject, first.schema).version == 1
        assert client.test_compatibility(subject, first.schema)
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(min(subjects), Schema('{"type": "record", "name": "Mine", "fields": []}', "AVRO"))
    assert (refused.value.http_status_code, refused.value.error_code) == (403, 40301)


def test_kcat_shows_keys_and_headers(own: FleetRun, kafka_bootstrap: str) -> None:
    """In every topic kcat shows the ids of what was posted as keys, and no header that the tier does not list."""
    listings = kcat_listings(kafka_bootstrap, topics_of(kafka_bootstrap, own.prefix))
    shown = {topic.removeprefix(own.prefix): records for topic, records in listings.items()}
    for plan in own.gate.catalogue.plans.values():
        records = shown.pop(plan.topic)
        posted = [one.report_id for one in own.posted.elements() if one.topic == plan.topic]
        assert own.is_stored(Counter(posted), Counter(one.key for one in records))
        said = {"ce_type": f"tidegate.{plan.schema.label}", "ce_source": f"/t/{plan.tier.name}"}
        assert all(one.headers.items() >= (said | {"ce_id": one.key.hex()}).items() for one in records)
        assert {frozenset(one.headers) for one in records} == {frozenset(plan.tier.record.headers)}
    assert {topic: {name for one in records for name in one.headers} for topic, records in shown.items()} == {
        CONTROL_TOPIC: set(),
        PROBE_TOPIC: set(),
        SCHEMAS_TOPIC: {TOPIC_HEADER, ID_HEADER},
    }


def test_kcat_shows_the_id_of_a_schema(own: FleetRun, registry: Reader, kafka_bootstrap: str) -> None:
    """What kcat shows of a value begins with the id under which the registry has its schema."""
    topic = "tidegate.contractor.route_window.v1"
    value = kcat("-C", "-q", "-e", "-c", "1", "-b", kafka_bootstrap, "-t", own.prefix + topic, "-f", "%s")
    marker, schema_id = struct.unpack_from(">BI", value)
    assert marker == 0
    assert '"tidegate.stripped.route_window.v1"' in (registry.client.get_schema(schema_id).schema_str or "")


@pytest.fixture
def gates(tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> Iterator[tuple[RunningGate, RunningGate]]:
    """Two gates on the same topics, each with a registry of its own."""
    settings = {"bootstrap": kafka_bootstrap, "prefix": topic_prefix, "schema_registry": "own"}
    with gate_on_kafka(tmp_path / "one", **settings) as one, gate_on_kafka(tmp_path / "other", **settings) as other:
        yield one, other


def test_gates_agree_on_ids(gates: tuple[RunningGate, RunningGate], topic_prefix: str) -> None:
    """A second gate on the same topics serves the same, and soon what the first one added, whichever is asked."""
    one, other = gates
    path = f"/registry/subjects/{topic_prefix}{TIGHTENED}-value/versions"
    assert one.get(path).document == other.get(path).document == [1]
    tighten(one)
    eventually(lambda: other.get(path).document == [1, 2], "the second gate serves what the first one appended")
    assert one.get(f"{path}/2").document == other.get(f"{path}/2").document
