"""The administrative half of Kafka's protocol, as far as topics need it, over aiokafka's client.

aiokafka's own admin client has AlterConfigs only, which replaces all settings of a topic (seen on Kafka 4.3: it put
`retention.ms` back to its default while `retention.bytes` was set), so a setting that somebody else made would be
gone. IncrementalAlterConfigs is written down here in aiokafka's own terms and goes through the same connection.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import (
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DescribeConfigsRequest,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

from ingest.log import LogUnavailable
from ingest.log.kafka.client import connected_client, end_client
from ingest.log.kafka.connection import KafkaConnection
from schemas.topics import TopicSpec

REQUEST_SECONDS = 30.0
"""How long the controller may take to make all topics."""

ATTEMPTS = 3
BACKOFF_SECONDS = 0.2

TOPIC_RESOURCE = 2
SET = 0
"""The operation of IncrementalAlterConfigs that sets a value."""

TOPIC_EXISTS = 36
UNKNOWN_TOPIC = 3
FORBIDDEN = frozenset({29, 31})
"""TopicAuthorizationFailed and ClusterAuthorizationFailed."""


class KafkaAdminError(Exception):
    """A cluster cannot be looked at or changed; the message says why and what to do."""


class IncrementalAlterConfigsResponse_v0(Response):  # noqa: N801 - as aiokafka names the versions of a message
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class IncrementalAlterConfigsRequest_v0(RequestStruct):  # noqa: N801 - as above
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = IncrementalAlterConfigsResponse_v0
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("config_operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class IncrementalAlterConfigsRequest(Request[IncrementalAlterConfigsRequest_v0]):
    """Sets the named settings of resources and leaves the others as they are (KIP-339)."""

    API_KEY = 44

    def __init__(self, resources: list[tuple[int, str, list[tuple[str, int, str]]]]) -> None:
        self._resources = resources

    def build(self, request_struct_class: type[IncrementalAlterConfigsRequest_v0]) -> IncrementalAlterConfigsRequest_v0:
        """The message of the version that the broker understands."""
        return request_struct_class(resources=self._resources, validate_only=False)


class KafkaAdmin:
    """Asks and changes a cluster. Topic names are the cluster's own here, prefix and all."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client

    async def metadata(self) -> Any:
        """Every broker that is up and every topic that this user may describe."""
        return await self._send(MetadataRequest(None, allow_auto_topic_creation=False))

    async def configs(self, topics: Sequence[str], keys: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings in effect of `topics`, by topic; one that was deleted meanwhile is left out."""
        if not topics:
            return {}
        wanted = sorted(keys)
        answer = await self._send(DescribeConfigsRequest([(TOPIC_RESOURCE, topic, wanted) for topic in topics]))
        known = [resource for resource in answer.resources if resource[0] != UNKNOWN_TOPIC]
        _raise_first((code, message, f"the settings of {topic} cannot be read") for code, message, _, topic, _ in known)
        return {topic: {entry[0]: entry[1] or "" for entry in entries} for _, _, _, topic, entries in known}

    async def create(self, topics: Sequence[TopicSpec]) -> None:
        """Make topics; one that somebody else made meanwhile is as good."""
        described: list[Any] = [
            (topic.name, topic.partitions, topic.replication_factor, [], list(topic.configs.items()))
            for topic in topics
        ]
        request = CreateTopicsRequest(described, timeout=round(REQUEST_SECONDS * 1000), validate_only=False)
        answer = await self._send(request)
        _raise_first(
            (code, message, f"{name} cannot be created")
            for name, code, message in answer.topic_errors
            if code != TOPIC_EXISTS
        )

    async def grow(self, partitions: Mapping[str, int]) -> None:
        """Give topics more partitions, each as many in all as it says here."""
        wanted: list[Any] = [(topic, (number, None)) for topic, number in partitions.items()]
        request = CreatePartitionsRequest(wanted, timeout=round(REQUEST_SECONDS * 1000), validate_only=False)
        answer = await self._send(request)
        _raise_first(
            (code, message, f"{name} cannot be given {partitions[name]} partitions")
            for name, code, message in answer.topic_errors
        )

    async def configure(self, configs: Mapping[str, Mapping[str, str]]) -> None:
        """Set these settings of these topics, and no other one."""
        answer = await self._send(
            IncrementalAlterConfigsRequest(
                [
                    (TOPIC_RESOURCE, topic, [(key, SET, value) for key, value in settings.items()])
                    for topic, settings in configs.items()
                ]
            )
        )
        _raise_first(
            (code, message, f"the settings of {name} cannot be changed") for code, message, _, name in answer.resources
        )

    async def delete(self, topics: Sequence[str]) -> None:
        """Delete topics; one that is gone already is as good."""
        answer = await self._send(DeleteTopicsRequest(list(topics), round(REQUEST_SECONDS * 1000)))
        _raise_first(
            (code, None, f"{name} cannot be deleted")
            for name, code in answer.topic_error_codes
            if code != UNKNOWN_TOPIC
        )

    async def _send(self, request: Any) -> Any:
        """The answer of any broker: each passes on to the controller what is not its own to do."""
        failed = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(BACKOFF_SECONDS)
                await self._client.force_metadata_update()
            try:
                return await self._client.send(self._client.get_random_node(), request)
            except KafkaError as error:
                failed = type(error).__name__
            except NotImplementedError:
                raise KafkaAdminError("the cluster speaks none of the versions that are known here") from None
        raise KafkaAdminError(f"the cluster stopped answering ({failed}); do the same again once its brokers answer")


@asynccontextmanager
async def kafka_admin(connection: KafkaConnection) -> AsyncIterator[KafkaAdmin]:
    """A connection to the cluster for a few requests; raises `KafkaAdminError`. aiokafka logs nothing meanwhile."""
    try:
        client = await connected_client(connection, request_seconds=REQUEST_SECONDS)
    except LogUnavailable as error:
        raise KafkaAdminError(str(error)) from None
    try:
        yield KafkaAdmin(client)
    finally:
        await end_client(client)


def _raise_first(answers: Iterable[tuple[int, str | None, str]]) -> None:
    """Raise for the first answer with an error code, if any; an answer is the code, what Kafka says, and of what."""
    for code, message, what in answers:
        if code in FORBIDDEN:
            raise KafkaAdminError(f"{what}: this user may not; `tidegate topics acls` prints who needs what")
        if code:
            raise KafkaAdminError(f"{what}: {for_code(code).__name__}{f', {message}' if message else ''}")
