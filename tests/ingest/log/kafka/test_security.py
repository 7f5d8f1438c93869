"""Who may use a cluster, held against brokers that ask: TLS, client certificates, SASL/SCRAM, ACLs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from ingest.log import LogUnavailable
from ingest.log.kafka import client as kafka_client
from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog, KafkaLogReader
from ingest.report import Partition
from load.broker import SSL_CLIENT_CERTIFICATES, Cluster, Security, cluster
from load.broker.certificates import make_certificates
from tests import open_sockets
from tests.ingest.log.kafka.stream import RECOVERY_SECONDS, TOPIC, entry, stored
from tests.kafka_admin import allow, make_topics_by

pytestmark = pytest.mark.kafka

LIMITS = AppendLimits(seconds=60)

SSL = Security("SSL")
SCRAM = Security("SASL_PLAINTEXT", "SCRAM-SHA-256")
ACLS = Security("SASL_SSL", "SCRAM-SHA-512", acls="enforced", users=("admin", "gate", "nobody"))


def held_against(**securities: Security) -> pytest.MarkDecorator:
    """The brokers of a test."""
    return pytest.mark.parametrize("secured", securities.values(), ids=securities, indirect=True)


every_security = held_against(ssl=SSL, client_certificates=SSL_CLIENT_CERTIFICATES, scram=SCRAM, scram_over_tls=ACLS)


@pytest.fixture(scope="module")
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker that asks who is there."""
    with cluster(tmp_path_factory.mktemp("secured"), security=request.param) as kafka:
        make_topics_by(_admin(kafka), [TOPIC])
        yield kafka


@pytest.fixture(autouse=True)
async def _connections_ended() -> AsyncIterator[None]:
    async with open_sockets.ended_with_the_block():
        yield


def _admin(kafka: Cluster) -> AdminClient:
    """A client of another make, as the user who may do everything."""
    how = kafka.connection()
    names = {
        "bootstrap.servers": how.bootstrap,
        "security.protocol": how.security_protocol,
        "sasl.mechanism": how.sasl_mechanism,
        "sasl.username": how.username,
        "sasl.password": how.password,
        "ssl.ca.location": how.ca_file,
        "ssl.certificate.location": how.certificate_file,
        "ssl.key.location": how.key_file,
    }
    return AdminClient({name: str(value) for name, value in names.items() if value is not None})


@every_security
async def test_a_log_is_written_and_read(secured: Cluster) -> None:
    """With what the cluster asks for a log is written to and read from."""
    log = KafkaLog(secured.connection(), limits=LIMITS)
    try:
        (position,) = await log.append([entry(b"key")])
        (found,) = await log.read(position.partition, after=position.offset - 1, limit=1)
        assert found.entry == entry(b"key")
    finally:
        await log.close()


def wrong(kafka: Cluster) -> tuple[KafkaConnection, str]:
    """A connection that the cluster does not let in, and what must be said of it."""
    right = kafka.connection()
    if kafka.security.protocol.startswith("SASL"):
        return replace(right, password="wrong"), "it refused the user or the password"
    return KafkaConnection(right.bootstrap), "it may ask for another security protocol"


@pytest.fixture
def time_for_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding out why a connection fails may take long."""
    monkeypatch.setattr(kafka_client, "DIAGNOSIS_SECONDS", 20)


@every_security
@pytest.mark.usefixtures("time_for_the_reason")
async def test_whoever_is_not_let_in_is_told_why(secured: Cluster) -> None:
    """A connection without the right password, or without TLS, is refused with the reason and without the password."""
    connection, why = wrong(secured)
    log = KafkaLog(connection, limits=LIMITS)
    try:
        with pytest.raises(LogUnavailable) as refused:
            await log.append([entry(b"key")])
        with pytest.raises(LogUnavailable):
            await log.partitions()
    finally:
        await log.close()
    assert why in str(refused.value)
    assert "wrong" not in str(refused.value)
    assert "wrong" not in repr(connection)


@held_against(ssl=SSL, scram_over_tls=ACLS)
@pytest.mark.usefixtures("time_for_the_reason")
async def test_a_certificate_of_somebody_else_is_not_accepted(secured: Cluster, tmp_path: Path) -> None:
    """Brokers whose certificates another authority signed are not talked to."""
    other = make_certificates(tmp_path / "other", ())
    log = KafkaLog(replace(secured.connection(), ca_file=other.ca_file), limits=LIMITS)
    try:
        with pytest.raises(LogUnavailable, match="its certificate was not accepted"):
            await log.append([entry(b"key")])
    finally:
        await log.close()


@held_against(scram_over_tls=ACLS)
async def test_acls_decide_who_may_write(secured: Cluster) -> None:
    """A user is refused, and never in doubt, until the ACLs let it write, and must be allowed to see the settings."""
    _allow(secured, "gate", TOPIC, AclOperation.DESCRIBE, AclOperation.READ)
    log = KafkaLog(secured.connection("gate"), limits=LIMITS)
    try:
        with pytest.raises(LogUnavailable, match="may write to no topic"):
            await log.append([entry(b"refused")])
        _allow(secured, "gate", "another", AclOperation.WRITE)
        await _refused(log, "this user may not write to it")
        _allow(secured, "gate", TOPIC, AclOperation.WRITE)
        await stored(log, b"allowed")
        with pytest.raises(LogUnavailable, match=f"the settings of {TOPIC} cannot be read: this user may not"):
            await log.require([TOPIC])
        found = await log.read(Partition(TOPIC, 0), after=-1, limit=100)
        assert {b"allowed"} == {one.entry.key for one in found} & {b"allowed", b"refused"}
    finally:
        await log.close()


async def _refused(log: KafkaLog, why: str) -> None:
    """Returns once an append is refused for this reason; a new rule takes a moment to be in force."""
    async with asyncio.timeout(RECOVERY_SECONDS):
        said = ""
        while why not in said:
            with pytest.raises(LogUnavailable) as refused:
                await log.append([entry(b"refused")])
            said = str(refused.value)
            await asyncio.sleep(0.1)


@held_against(scram_over_tls=ACLS)
async def test_acls_decide_who_may_read(secured: Cluster) -> None:
    """A user whom no rule names may not read, and is told so."""
    reader = KafkaLogReader(secured.connection("nobody"))
    try:
        with pytest.raises(LogUnavailable, match="may not read"):
            await reader.read(Partition(TOPIC, 0), after=-1, limit=1)
    finally:
        await reader.close()


def _allow(kafka: Cluster, user: str, topic: str, *operations: AclOperation) -> None:
    rules = [
        AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    allow(_admin(kafka), rules)
