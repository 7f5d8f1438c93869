"""What every connection to a Kafka cluster has in common: its times, the topics it knows, and why it failed.

aiokafka asks for topics by name once it was told of one, and in that request lets the broker make what is not there
(`auto.create.topics.enable`). Asked for all topics at once a broker makes none. So no topic is ever named to the client
of a producer: `learn_topics` has it ask for all of them, and what it then does not know is not used. `NamingClient` is
for everything else: it asks for the topics that it was told of, and lets the broker make none.
"""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Iterable
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from ingest.log import LogUnavailable
from ingest.log.kafka.connection import BadConnection, KafkaConnection
from ingest.log.kafka.topic_names import TopicNamesRequest

REQUEST_SECONDS = 3.0
"""How long a broker may take for an answer before it is taken for hung, and another one is asked who leads."""

METADATA_SECONDS = 30.0
"""A leader that moved is noticed by the broker's answer, at once; this is for what nobody asked about."""

BACKOFF_SECONDS = 0.1

CONNECT_SECONDS = 7.0
"""How long it may take until a cluster is known; a gate that cannot start says so within 10 s."""

END_SECONDS = 0.5
"""How long connections that were cut may take to be gone."""

DIAGNOSIS_SECONDS = 1.0
"""How long it may take to find out why it is not; all three together are shorter than whoever waits for them does."""

CLIENT_ID = "tidegate"

TIMES = {
    "request_timeout_ms": round(REQUEST_SECONDS * 1000),
    "metadata_max_age_ms": round(METADATA_SECONDS * 1000),
    "retry_backoff_ms": round(BACKOFF_SECONDS * 1000),
}
"""Arguments of any aiokafka client."""

TROUBLES: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLError, "it does not speak TLS as it should"),
    (TimeoutError, "no answer in time"),
    (ConnectionRefusedError, "nobody listens there"),
    (socket.gaierror, "there is no such host"),
    (UnsupportedSaslMechanismError, "it does not offer this SASL mechanism"),
    (SaslAuthenticationFailed, "it refused the user or the password"),
    (KafkaConnectionError, "it closed the connection; it may ask for another security protocol"),
)
"""What is said of an error where its own words would say less, or repeat what nobody should read."""

NO_METADATA = "no broker says which topics there are"
APPLY = "make topics with `tidegate topics apply`"


def connection_arguments(connection: KafkaConnection) -> dict[str, Any]:
    """`KafkaConnection.arguments`; a file that has become unusable since it was checked is `LogUnavailable`.

    Also has aiokafka say nothing by itself: it logs every attempt, a dozen a second while a broker is away, and what
    comes of it is ours to tell.
    """
    logger = logging.getLogger("aiokafka")
    if logger.propagate:
        logger.propagate = False
        logger.addHandler(logging.NullHandler())  # else Python writes warnings that nobody handles to stderr
    try:
        return connection.arguments()
    except BadConnection as error:
        raise LogUnavailable(str(error)) from None


class NamingClient(AIOKafkaClient):
    """Asks for the topics that it was told of by `add_topic` and `set_topics`, and lets the broker make none."""

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: Iterable[str] | None) -> bool:
        """In place of aiokafka's, which lets the broker make what it names."""
        names = None if topics is None else sorted(topics)
        metadata = await any_answer(self, MetadataRequest(names, allow_auto_topic_creation=False))
        if metadata is None:
            return False
        cluster_metadata.update_metadata(metadata)
        return bool(metadata.brokers)


async def any_answer(client: AIOKafkaClient, request: Any) -> Any:
    """What the first broker answers that does; None where none does."""
    brokers = [broker.nodeId for broker in client.cluster.brokers()]
    for node in random.sample(brokers, len(brokers)):
        try:
            return await client.send(node, request)
        except KafkaError:
            continue
    return None


async def connected_client(connection: KafkaConnection, *, request_seconds: float = REQUEST_SECONDS) -> AIOKafkaClient:
    """A client that knows the cluster's brokers, for the caller to close; raises `LogUnavailable`.

    A broker may take `request_seconds` for an answer once there is a connection to it.
    """
    times = TIMES | {"request_timeout_ms": round(request_seconds * 1000)}
    client: AIOKafkaClient = NamingClient(  # type: ignore[no-untyped-call]  # aiokafka's own is not typed
        client_id=CLIENT_ID, **connection_arguments(connection), **times
    )
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await bootstrap(client, connection)
            await learn_topics(client)
    except (KafkaError, OSError, TimeoutError):
        await end_client(client)
        raise LogUnavailable(await why_not_connected(connection)) from None
    except BaseException:  # cancelled, as a rule; it goes on, and nobody else would close it
        await end_client(client)
        raise
    return client


async def bootstrap(client: AIOKafkaClient, connection: KafkaConnection) -> None:
    """As `AIOKafkaClient.bootstrap`, which when it is cancelled leaves the connection open that it has just made.

    Raises `KafkaConnectionError` where no broker lets us in and says which brokers there are.
    """
    arguments = connection_arguments(connection)
    for address in arguments.pop("bootstrap_servers"):
        try:
            first = await _connected(address, arguments)
            try:
                client.cluster.update_metadata(await first.send(MetadataRequest([])))
            finally:
                _cut(first)
        except (KafkaError, OSError):  # a TimeoutError is an OSError; the next one may be up
            continue
        client._sync_task = asyncio.create_task(client._md_synchronizer())  # noqa: SLF001  # as aiokafka's own does
        return
    raise KafkaConnectionError("no broker says which brokers there are")


async def _connected(address: str, arguments: dict[str, Any]) -> AIOKafkaConnection:
    host, _, port = address.rpartition(":")
    times = {"request_timeout_ms": TIMES["request_timeout_ms"]}
    connection: AIOKafkaConnection = await create_conn(
        host.strip("[]"), int(port), client_id=CLIENT_ID, **arguments, **times
    )
    return connection


async def learn_topics(client: AIOKafkaClient) -> None:
    """Ask the cluster for topics and leaders, now, those that the client asks for; raises `LogUnavailable`."""
    # While a request is under way aiokafka asks for nothing else, and that one may have been answered before this call.
    under_way = client._md_update_fut  # noqa: SLF001  # it has no other way to see it
    if under_way is not None and not await asyncio.shield(under_way):
        raise LogUnavailable(NO_METADATA)
    if not await client.force_metadata_update():
        raise LogUnavailable(NO_METADATA)


def connection_to(client: AIOKafkaClient, node: int) -> Any:
    """The connection that requests to a broker go by now; another object after each time that it broke. Or None."""
    return client._conns.get((node, ConnectionGroup.DEFAULT))  # noqa: SLF001  # as above


async def all_topics(client: AIOKafkaClient) -> frozenset[str]:
    """The name of every topic that this user may describe, now; raises `LogUnavailable`."""
    answer = await any_answer(client, TopicNamesRequest())
    if answer is None:
        raise LogUnavailable(NO_METADATA)
    return frozenset(topic for _, topic, *_ in answer.topics)


async def end_client(client: AIOKafkaClient) -> None:
    """Close its connections now; may be called again.

    aiokafka closes them in good order, and for that would wait until a broker that hangs has read what was sent.
    """
    for connection in tuple(client._conns.values()):  # noqa: SLF001  # it has no other way to its connections
        _cut(connection)
    try:
        async with asyncio.timeout(END_SECONDS):
            await client.close()
    except TimeoutError:
        pass  # everything is cut, so nothing is left but for the loop to notice it
    waited_for = client._md_update_fut  # noqa: SLF001
    if waited_for is not None and not waited_for.done():
        # Nobody will: who would have, was just ended.
        waited_for.set_result(False)


def _cut(connection: AIOKafkaConnection) -> None:
    """Close it without taking leave, also where aiokafka has begun to close it and waits for the other side."""
    transport = connection._protocol and connection._protocol._transport  # noqa: SLF001  # it has no other way to it
    if transport is not None:
        transport.abort()
    connection.close()


async def why_not_connected(connection: KafkaConnection) -> str:
    """What a person can do something about: aiokafka itself says no more than that there is no connection."""
    arguments = connection_arguments(connection)
    addresses = arguments.pop("bootstrap_servers")
    troubles = await asyncio.gather(*(_trouble(address, arguments) for address in addresses))
    reasons = [f"{address}: {trouble}" for address, trouble in zip(addresses, troubles, strict=True)]
    return f"no broker could be used ({'; '.join(reasons)}); check the kafka settings"


async def _trouble(address: str, arguments: dict[str, Any]) -> str:
    try:
        # Each step of connecting has the time of a request, so there is a time for all of them.
        async with asyncio.timeout(DIAGNOSIS_SECONDS):
            _cut(await _connected(address, arguments))
    except ssl.SSLCertVerificationError as error:
        return f"its certificate was not accepted, {error.verify_message}"
    except (KafkaError, OSError) as error:
        said = next((said for kind, said in TROUBLES if isinstance(error, kind)), None)
        return said or getattr(error, "strerror", None) or type(error).__name__
    return "it let us in, but the cluster did not say in time what it holds"
