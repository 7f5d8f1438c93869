"""The ACLs of the topics, given to a real broker that enforces them: who can do what, and what nobody can."""

import shlex
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import TopicAuthorizationFailedError, for_code
from aiokafka.protocol.fetch import FetchRequest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has them, and does not say that it exports them
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from ingest.log.kafka import client as kafka_client
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.log import KafkaLog
from ingest.log.kafka.reader import KafkaLogReader
from ingest.records import CONTROL_TOPIC, SCHEMAS_TOPIC
from ingest.report import Entry, Partition
from ingest.topics.acls import Acl, Principals, commands, topic_acls
from ingest.topics.admin import KafkaAdminError, kafka_admin
from ingest.topics.cluster import Brokers, TopicsJob, apply_topics
from ingest.topics.plan import TopicPlan
from ingest.topics.wanted import PROBE_TOPIC, wanted_topics
from load.broker import Cluster, Security, cluster
from schemas.catalogue import Catalogue, load_catalogue
from schemas.topics import TopicSpec
from tests.kafka_admin import allow

kafka = pytest.mark.kafka

GATE, FOLLOWER, ADMIN, READER = "gate", "follower", "topics-admin", "byod-reader"
PRINCIPALS = Principals(f"User:{GATE}", f"User:{FOLLOWER}", f"User:{ADMIN}")
PREFIX = "held."
BYOD = "tidegate.byod.route_window.v1"
CONTRACTOR = "tidegate.contractor.route_window.v1"
MANAGED = "tidegate.managed.route_window.v1"


def with_reader(catalogue: Catalogue) -> Catalogue:
    """The catalogue where one principal may read byod, and nobody the others."""
    byod = catalogue.tiers["byod"]
    topic = byod.topic.model_copy(update={"readers": (f"User:{READER}",)})
    tiers = {**catalogue.tiers, "byod": byod.model_copy(update={"topic": topic})}
    return Catalogue(schemas=catalogue.schemas, tiers=tiers, plans=catalogue.plans)


CATALOGUE = with_reader(load_catalogue())
ACLS = topic_acls(CATALOGUE, PRINCIPALS, topic_prefix=PREFIX)


def test_the_commands_say_the_same() -> None:
    """The commands for kafka-acls.sh add the same ACLs that the JSON lists, each once."""
    said = []
    for command in commands(ACLS, bootstrap="broker-1:9092"):
        program, *words = shlex.split(command.replace("\\\n", ""))
        assert (program, words[4]) == ("kafka-acls.sh", "--add")
        pairs = list(zip(words[5::2], words[6::2], strict=True))
        told: dict[str, list[str]] = {}
        for option, value in pairs:
            told.setdefault(option, []).append(value)
        [resource] = told.keys() & {"--topic", "--group"}
        [principal], [pattern] = told["--allow-principal"], told["--resource-pattern-type"]
        said += [
            (principal, resource[2:].upper(), pattern.upper(), name, operation.upper())
            for name, operation in product(told[resource], told["--operation"])
        ]
    listed = [
        (acl.principal, acl.resource_type, acl.pattern_type, acl.name, acl.operation.replace("_", "")) for acl in ACLS
    ]
    assert sorted(said) == sorted(listed)


def test_a_principal_with_spaces_stays_one_word() -> None:
    """The name of a certificate, with commas, spaces and quotes, is one argument of the command."""
    name = "User:CN=gate one,O=O'Hara"
    first = commands(topic_acls(CATALOGUE, Principals(gate=name)), bootstrap="b:1")[0]
    words = shlex.split(first.replace("\\\n", ""))
    assert words[words.index("--allow-principal") + 1] == name


def test_one_principal_for_two_roles_has_what_both_need() -> None:
    """A process that takes reports and answers is allowed the union of a gate's and a follower's."""
    both = topic_acls(CATALOGUE, Principals(gate="User:both", follower="User:both"))
    operations = {acl.operation for acl in both if acl.principal == "User:both" and acl.name == "tidegate.byod."}
    assert operations == {"READ", "WRITE", "DESCRIBE_CONFIGS"}


def entry(topic: str, key: bytes) -> Entry:
    """An entry of now: these topics have a retention, which deletes what is older."""
    return Entry(topic, key, b"value", time.time_ns() // 1_000_000)


@dataclass
class Held:
    """A broker where these ACLs are in force, with all topics. Only `append` and `follow` go through our own log."""

    kafka: Cluster

    async def apply(self, user: str) -> None:
        await apply_topics(self.kafka.connection(user), CATALOGUE, topic_prefix=PREFIX, brokers=Brokers.ONE)

    async def append(self, user: str, topic: str) -> None:
        """Append a record by the gate's own log."""
        log = KafkaLog(self.kafka.connection(user), topic_prefix=PREFIX)
        try:
            await log.append([entry(topic, b"key")])
        finally:
            await log.close()

    async def follow(self, user: str) -> set[str]:
        """The topics with a record in them, as the follower's reader reads them."""
        reader = KafkaLogReader(self.kafka.connection(user), topic_prefix=PREFIX)
        try:
            found = {one: await reader.read(one, after=-1, limit=1) for one in await reader.partitions()}
        finally:
            await reader.close()
        return {partition.topic for partition, entries in found.items() if entries}

    def write(self, user: str, topic: str) -> None:
        """Append a record; raises `KafkaException`."""
        producer = Producer({**for_librdkafka(self.kafka.connection(user)), "acks": "all", "log_level": 0})
        failed: list[KafkaError] = []
        producer.produce(PREFIX + topic, b"value", on_delivery=lambda error, _: failed.append(error) if error else None)
        assert producer.flush(20) == 0, "neither appended nor refused"
        if failed:
            raise KafkaException(failed[0])

    async def read(self, user: str, topic: str) -> bytes:
        """What is in a topic, asked of the broker by nothing but a fetch; raises aiokafka's errors."""
        client = AIOKafkaClient(**self.kafka.connection(user).arguments())
        partitions = next(spec.partitions for spec in wanted_topics(CATALOGUE) if spec.name == topic)
        wanted = [(PREFIX + topic, [(number, 0, 1 << 20) for number in range(partitions)])]
        try:
            await client.bootstrap()
            response = await client.send(client.get_random_node(), FetchRequest(0, 1, 1 << 20, 0, wanted))
        finally:
            await client.close()
        found = [partition for _, fetched in response.topics for partition in fetched]
        for partition in found:
            if partition[1]:
                raise for_code(partition[1])
        return b"".join(partition[-1] or b"" for partition in found)

    def consume(self, user: str, topic: str, *, group_id: str) -> bytes:
        """A record of a topic, as a member of a consumer group; raises `KafkaException`."""
        settings = {"group.id": group_id, "auto.offset.reset": "earliest", "log_level": 0}
        consumer = Consumer({**for_librdkafka(self.kafka.connection(user)), **settings})
        try:
            consumer.subscribe([PREFIX + topic])
            message = consumer.poll(20)
            assert message is not None, "nothing was read, and nothing was refused"
            if message.error():
                raise KafkaException(message.error())
            return bytes(message.value() or b"")
        finally:
            consumer.close()


def for_librdkafka(connection: KafkaConnection) -> dict[str, str | int | float]:
    """How librdkafka connects as the same user."""
    found = {
        "bootstrap.servers": connection.bootstrap,
        "security.protocol": connection.security_protocol,
        "sasl.mechanism": connection.sasl_mechanism,
        "sasl.username": connection.username,
        "sasl.password": connection.password,
    }
    return {name: value for name, value in found.items() if value is not None}


def binding(acl: Acl) -> AclBinding:
    """An ACL in librdkafka's form."""
    return AclBinding(
        ResourceType[acl.resource_type],
        acl.name,
        ResourcePatternType[acl.pattern_type],
        acl.principal,
        "*",
        AclOperation[acl.operation],
        AclPermissionType.ALLOW,
    )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker that enforces ACLs and has ours."""
    users = ("root", GATE, FOLLOWER, ADMIN, READER, "stranger")
    security = Security("SASL_PLAINTEXT", "SCRAM-SHA-512", acls="enforced", users=users)
    with cluster(tmp_path_factory.mktemp("secured"), security=security) as kafka:
        admin = AdminClient(for_librdkafka(kafka.connection()))
        allow(admin, [binding(acl) for acl in ACLS])
        yield kafka


@pytest.fixture
async def held(secured: Cluster) -> Held:
    """The topics, applied by the one who may, and a record in each, appended by the gate."""
    held = Held(secured)
    await held.apply(ADMIN)
    for topic in WRITTEN:
        await held.append(GATE, topic)
    return held


WRITTEN = (BYOD, CONTRACTOR, MANAGED, CONTROL_TOPIC, SCHEMAS_TOPIC, PROBE_TOPIC)
READ = tuple(topic for topic in WRITTEN if topic != PROBE_TOPIC)


@kafka
async def test_a_gate_writes_every_topic_and_reads_the_schemas_alone(held: Held) -> None:
    """A gate appends to each tier, control, schemas and probe, and reads the schemas and no record."""
    for topic in WRITTEN:
        held.write(GATE, topic)
    assert await held.read(GATE, SCHEMAS_TOPIC)
    for topic in set(WRITTEN) - {SCHEMAS_TOPIC}:
        with refused():
            await held.read(GATE, topic)
    async with kafka_admin(held.kafka.connection(GATE)) as admin:
        with pytest.raises(KafkaAdminError, match="this user may not"):
            await admin.configure({PREFIX + BYOD: {"retention.ms": "1"}})
        with pytest.raises(KafkaAdminError, match="this user may not"):
            await admin.grow({PREFIX + BYOD: 99})
        with pytest.raises(KafkaAdminError, match="this user may not"):
            await admin.delete([PREFIX + BYOD])


@kafka
async def test_the_log_of_a_gate_needs_no_more(held: Held) -> None:
    """The gate's own log looks at its topics, appends, and reads back the schemas under its ACLs."""
    log = KafkaLog(held.kafka.connection(GATE), topic_prefix=PREFIX)
    try:
        await log.require([topic.name for topic in wanted_topics(CATALOGUE)])
        await log.probe()
        await log.append([entry(BYOD, b"another")])
        assert await log.read(Partition(SCHEMAS_TOPIC, 0), after=-1, limit=1)
    finally:
        await log.close()


@kafka
async def test_a_follower_reads_and_never_writes(held: Held) -> None:
    """A follower reads each tier, control and schemas without a consumer group, and appends to none of them."""
    assert await held.follow(FOLLOWER) == set(READ)
    with refused():
        await held.read(FOLLOWER, PROBE_TOPIC)
    for topic in WRITTEN:
        with refused():
            held.write(FOLLOWER, topic)


@kafka
async def test_who_applies_topics_sees_no_record(held: Held) -> None:
    """The one who makes topics makes, changes, grows and deletes them, and neither reads nor writes what is in them."""
    passing = TopicSpec("tidegate.lab.health_window.v1", 1, 1, {"retention.ms": "86400000"})
    grown = replace(passing, partitions=2, configs={"retention.ms": "3600000"})
    for wanted, delete in ([passing], []), ([grown], []), ([], [passing.name]):
        job = TopicsJob(held.kafka.connection(ADMIN), wanted, topic_prefix=PREFIX, delete=delete)
        assert (await job.apply(agree=TopicPlan.insisted)).steps
    for topic in WRITTEN:
        with refused():
            await held.read(ADMIN, topic)
        with refused():
            held.write(ADMIN, topic)


@kafka
async def test_a_reader_of_one_tier_reads_no_other(held: Held) -> None:
    """A reader of byod reads byod and the schemas, in a group of that tier's name as well, and nothing else."""
    named = f"{PREFIX}tidegate.byod.{uuid.uuid4().hex}"
    assert await held.read(READER, BYOD)
    assert held.consume(READER, BYOD, group_id=named)
    assert await held.read(READER, SCHEMAS_TOPIC)
    for topic in set(WRITTEN) - {BYOD, SCHEMAS_TOPIC}:
        with refused():
            await held.read(READER, topic)
    with refused():
        held.consume(READER, CONTRACTOR, group_id=named)
    with refused():
        held.consume(READER, BYOD, group_id="another")
    with refused():
        held.write(READER, BYOD)


@kafka
async def test_a_stranger_is_told_what_is_missing(held: Held) -> None:
    """Who has no ACL cannot read, write or make topics, and `apply` says where to look for what it needs."""
    with refused():
        await held.read("stranger", BYOD)
    with refused():
        held.write("stranger", BYOD)
    with pytest.raises(KafkaAdminError, match=rf"{PREFIX}tidegate.*this user may not; `tidegate topics acls` prints"):
        await held.apply("stranger")


@kafka
async def test_a_wrong_password_is_said_and_not_shown(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not let in is told the broker's reason, and what to check, without the password."""
    monkeypatch.setattr(kafka_client, "DIAGNOSIS_SECONDS", 20)
    wrong = replace(held.kafka.connection(ADMIN), password="not-the-password")
    with pytest.raises(KafkaAdminError, match=r"it refused the user or the password\); check") as error:
        await apply_topics(wrong, CATALOGUE, topic_prefix=PREFIX)
    assert "not-the-password" not in str(error.value)


@contextmanager
def refused() -> Iterator[None]:
    """Hold that Kafka refuses this for want of authorization."""
    codes = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}
    with pytest.raises((KafkaException, TopicAuthorizationFailedError)) as error:
        yield
    assert isinstance(error.value, TopicAuthorizationFailedError) or error.value.args[0].code() in codes
