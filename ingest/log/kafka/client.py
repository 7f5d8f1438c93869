"""What every connection to a Kafka cluster has in common: its times, the topics it knows, and why it failed.

aiokafka asks for topics by name once it was told of one, and in that request lets the broker make what is not there
(`auto.create.topics.enable`). Asked for all topics at once a broker makes none. So no topic is ever named to a client:
`learn_topics` has it ask for all of them, and what it then does not know is not used.
"""

import asyncio
import logging
import socket
import ssl
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from ingest.log import LogUnavailable
from ingest.log.kafka.connection import BadConnection, KafkaConnection

REQUEST_SECONDS = 3.0
"""How long a broker may take for an answer before it is taken for hung, and another one is asked who leads."""

METADATA_SECONDS = 30.0
"""A leader that moved is noticed by the broker's answer, at once; this is for what nobody asked about."""

BACKOFF_SECONDS = 0.1

CONNECT_SECONDS = 7.5
"""How long it may take until a cluster is known; a gate that cannot start says so within 10 s."""

DIAGNOSIS_SECONDS = 1.0
"""How long it may take to find out why it is not; both together are shorter than whoever waits for them does."""

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


async def connected_client(connection: KafkaConnection) -> AIOKafkaClient:
    """A client that knows the cluster's topics, for the caller to close; raises `LogUnavailable`."""
    client = AIOKafkaClient(client_id="tidegate", **connection_arguments(connection), **TIMES)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.bootstrap()
            await learn_topics(client)
    except (KafkaError, OSError, TimeoutError):
        await end_client(client)
        raise LogUnavailable(await why_not_connected(connection)) from None
    except BaseException:  # cancelled, as a rule; it goes on, and nobody else would close it
        await end_client(client)
        raise
    return client


async def learn_topics(client: AIOKafkaClient) -> None:
    """Ask the cluster for all its topics and leaders, now; raises `LogUnavailable`."""
    # While a request is under way aiokafka asks for nothing else, and that one may have been answered before this call.
    under_way = client._md_update_fut  # noqa: SLF001  # it has no other way to see it
    if under_way is not None and not await asyncio.shield(under_way):
        raise LogUnavailable(NO_METADATA)
    if not await client.force_metadata_update():
        raise LogUnavailable(NO_METADATA)


def connection_to(client: AIOKafkaClient, node: int) -> Any:
    """The connection that requests to a broker go by now; another object after each time that it broke. Or None."""
    return client._conns.get((node, ConnectionGroup.DEFAULT))  # noqa: SLF001  # as above


async def end_client(client: AIOKafkaClient) -> None:
    """Close its connections now; may be called again.

    aiokafka closes them in good order, and for that would wait until a broker that hangs has read what was sent.
    """
    for connection in tuple(client._conns.values()):  # noqa: SLF001  # it has no other way to its connections
        if connection._writer is not None:  # noqa: SLF001
            connection._writer.transport.abort()  # noqa: SLF001
    await client.close()
    waited_for = client._md_update_fut  # noqa: SLF001
    if waited_for is not None and not waited_for.done():
        # Nobody will: who would have, was just ended.
        waited_for.set_result(False)


async def why_not_connected(connection: KafkaConnection) -> str:
    """What a person can do something about: aiokafka itself says no more than that there is no connection."""
    arguments = connection_arguments(connection)
    addresses = arguments.pop("bootstrap_servers")
    troubles = await asyncio.gather(*(_trouble(address, arguments) for address in addresses))
    reasons = [f"{address}: {trouble}" for address, trouble in zip(addresses, troubles, strict=True)]
    return f"no broker could be used ({'; '.join(reasons)}); check the kafka settings"


async def _trouble(address: str, arguments: dict[str, Any]) -> str:
    host, _, port = address.rpartition(":")
    try:
        # Each step of connecting has the time of a request, so there is a time for all of them.
        async with asyncio.timeout(DIAGNOSIS_SECONDS):
            connection = await create_conn(host.strip("[]"), int(port), **arguments)
            await connection.close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate was not accepted, {error.verify_message}"
    except (KafkaError, OSError) as error:
        said = next((said for kind, said in TROUBLES if isinstance(error, kind)), None)
        return said or getattr(error, "strerror", None) or type(error).__name__
    return "it let us in, but the cluster did not say in time what it holds"
