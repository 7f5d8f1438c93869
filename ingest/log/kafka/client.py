"""What every connection to a Kafka cluster has in common: its times, the topics it knows, and why it failed.

aiokafka asks for topics by name once it was told of one, and in that request lets the broker make what is not there
(`auto.create.topics.enable`). Asked for all topics at once a broker makes none. So no topic is ever named to a client:
`learn_topics` has it ask for all of them, and what it then does not know is not used.
"""

import asyncio
import socket
import ssl
from typing import Any

from aiokafka.client import AIOKafkaClient
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

CONNECT_SECONDS = 8.0
"""How long it may take until a cluster is known; a gate that cannot start says so within 10 s."""

TIMES = {
    "request_timeout_ms": round(REQUEST_SECONDS * 1000),
    "metadata_max_age_ms": round(METADATA_SECONDS * 1000),
    "retry_backoff_ms": round(BACKOFF_SECONDS * 1000),
}
"""Arguments of any aiokafka client."""

DIAGNOSIS_MS = 1000

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

APPLY = "make topics with `tidegate topics apply`"


def connection_arguments(connection: KafkaConnection) -> dict[str, Any]:
    """`KafkaConnection.arguments`; a file that has become unusable since it was checked is `LogUnavailable`."""
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
    """Ask the cluster for all its topics and leaders; raises `LogUnavailable`."""
    if not await client.force_metadata_update():
        raise LogUnavailable("no broker says which topics there are")


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
    reasons = [f"{address}: {await _trouble(address, arguments)}" for address in addresses]
    return f"no broker could be used ({'; '.join(reasons)}); check the kafka settings"


async def _trouble(address: str, arguments: dict[str, Any]) -> str:
    host, _, port = address.rpartition(":")
    try:
        connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=DIAGNOSIS_MS, **arguments)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate was not accepted, {error.verify_message}"
    except (KafkaError, OSError) as error:
        said = next((said for kind, said in TROUBLES if isinstance(error, kind)), None)
        return said or getattr(error, "strerror", None) or type(error).__name__
    await connection.close()
    return "it let us in, but the cluster did not say in time what it holds"
