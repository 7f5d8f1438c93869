"""Encrypted, with users, with ACLs: a client that may is served, one that may not is refused."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError

from ingest.log.kafka.connection import KafkaConnection
from load.broker import (
    PLAINTEXT,
    SASL_PLAINTEXT,
    SASL_SSL,
    SSL,
    SSL_CLIENT_CERTIFICATES,
    Cluster,
    Security,
    cluster,
)
from tests import open_sockets
from tests.load.broker.clients import SECONDS, TOPIC

pytestmark = pytest.mark.kafka

SECURITIES = (
    pytest.param(SSL, id="TLS"),
    pytest.param(replace(SASL_PLAINTEXT, mechanism="SCRAM-SHA-256"), id="SCRAM without TLS"),
    pytest.param(Security("SASL_SSL", "PLAIN"), id="a password over TLS"),
    pytest.param(replace(SASL_SSL, acls="enforced", users=("admin", "stranger")), id="SCRAM over TLS, and ACLs"),
    pytest.param(
        replace(SSL_CLIENT_CERTIFICATES, acls="enforced", users=("admin", "stranger")), id="certificates, and ACLs"
    ),
)


@pytest.fixture(scope="module", params=SECURITIES)
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with one of them."""
    with cluster(tmp_path_factory.mktemp("secured"), security=request.param) as running:
        yield running


def test_served(kafka: Cluster) -> None:
    """Who may write writes, over whatever the cluster asks for; a user whom no ACL names may not."""
    asyncio.run(make_topic(kafka.connection()))
    assert asyncio.run(write(kafka.connection())) == 0
    if kafka.security.acls == "enforced":
        with pytest.raises(ClusterAuthorizationFailedError):
            asyncio.run(write(kafka.connection("stranger")))
    assert asyncio.run(write(kafka.connection())) == 1


def test_refused(kafka: Cluster) -> None:
    """Nobody gets in with another protocol, password or authority, or without a certificate where one is asked for."""
    for wrong in wrong_connections(kafka):
        with pytest.raises((KafkaError, OSError)):
            asyncio.run(asyncio.wait_for(write(wrong), SECONDS))


async def make_topic(connection: KafkaConnection) -> None:
    """TOPIC, by aiokafka, which the gate uses."""
    async with open_sockets.ended_with_the_block():
        admin = AIOKafkaAdminClient(**connection.arguments())
        try:
            await admin.start()
            await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
        finally:
            await admin.close()


async def write(connection: KafkaConnection) -> int:
    """The offset of one more entry in TOPIC."""
    async with open_sockets.ended_with_the_block():
        producer = AIOKafkaProducer(**connection.arguments(), acks="all", enable_idempotence=True)
        try:
            await producer.start()
            stored = await producer.send_and_wait(TOPIC, b"said", partition=0)
        finally:
            await producer.stop()
    offset: int = stored.offset
    return offset


def wrong_connections(kafka: Cluster) -> Iterator[KafkaConnection]:
    """The right connection, spoilt in every way that matters to this cluster."""
    right = kafka.connection()
    yield KafkaConnection(kafka.bootstrap)
    if right.authenticated:
        yield replace(right, password="wrong")
    if right.encrypted:
        yield replace(right, ca_file=None)
    if right.certificate_file:
        yield replace(right, certificate_file=None, key_file=None)


def test_no_password_on_a_command_line(kafka: Cluster) -> None:
    """The passwords are in a file that its owner alone can read, and in no command line."""
    broker = kafka.brokers[0]
    command = Path(f"/proc/{broker.pid}/cmdline").read_text(encoding="utf-8")
    assert not [user for user, password in kafka.passwords.items() if password in command]
    secret = [broker.properties, *broker.directory.parent.rglob("*.key"), *broker.directory.parent.rglob("broker.pem")]
    assert {file.stat().st_mode & 0o077 for file in secret} == {0}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        pytest.param({"protocol": "SASL_SSL"}, "SASL_SSL needs a SASL mechanism", id="SASL, but which"),
        pytest.param(
            {"protocol": "SSL", "mechanism": "PLAIN"}, "SSL has no SASL mechanism", id="a mechanism for nothing"
        ),
        pytest.param({"client_certificates": "required"}, "protocol SSL", id="certificates in plain text"),
        pytest.param({"acls": "enforced"}, "ACLs need users", id="ACLs for nobody"),
    ],
)
def test_impossible(settings: dict[str, str], why: str) -> None:
    """What cannot be asked of a listener at the same time is refused before anything is started."""
    with pytest.raises(ValueError, match=why):
        replace(PLAINTEXT, **settings)  # type: ignore[arg-type]
