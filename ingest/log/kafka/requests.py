"""The questions that a reader asks the brokers. Each is asked once; an error that passes is raised as aiokafka's.

Transactions are not asked about (`READ_UNCOMMITTED`): gates use none, and one that somebody else left open would hold
back what gates wrote after it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import IntEnum

from aiokafka import TopicPartition
from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from ingest.log import LogUnavailable

READ_UNCOMMITTED = 0
CONSUMER = -1
"""As the id of a replica: who asks is none."""

FETCH_BYTES = 1024 * 1024
"""Of a partition at once. A batch is returned whole, however large it is."""


class Edge(IntEnum):
    """An end of a partition, as Kafka's protocol numbers them."""

    EARLIEST = -2
    LATEST = -1


async def offsets(
    client: AIOKafkaClient, partitions: Iterable[TopicPartition], edge: Edge
) -> Mapping[TopicPartition, int]:
    """Where each partition begins, or ends: the offset that the next record gets. One request for each broker."""
    by_node: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for partition in partitions:
        by_node[leader(client, partition)][partition.topic].append((partition.partition, edge))
    found: dict[TopicPartition, int] = {}
    requests = [
        client.send(node, OffsetRequest(CONSUMER, READ_UNCOMMITTED, list(topics.items())))
        for node, topics in by_node.items()
    ]
    for response in await asyncio.gather(*requests):
        for topic, answers in response.topics:
            for number, code, _, offset in answers:
                raise_for(code, topic)
                found[TopicPartition(topic, number)] = offset
    return found


async def fetch(client: AIOKafkaClient, partition: TopicPartition, *, begin: int) -> tuple[bytes, int]:
    """What `partition` holds from offset `begin` on, as batches, and how far it reaches; without waiting for more."""
    topics = [(partition.topic, [(partition.partition, begin, FETCH_BYTES)])]
    request = FetchRequest(0, 1, FETCH_BYTES, READ_UNCOMMITTED, topics)
    response = await client.send(leader(client, partition), request)
    ((topic, ((_, code, high_watermark, *_, records),)),) = response.topics
    raise_for(code, topic)
    return records or b"", high_watermark


async def exists(client: AIOKafkaClient, partition: TopicPartition) -> bool:
    """Whether the cluster has this partition; asks by name, without letting the broker make it."""
    request = MetadataRequest([partition.topic], allow_auto_topic_creation=False)
    response = await client.send(client.get_random_node(), request)
    ((code, topic, _, partitions),) = response.topics
    if code == kafka.UnknownTopicOrPartitionError.errno:
        return False
    raise_for(code, topic)
    return partition.partition < len(partitions)


def leader(client: AIOKafkaClient, partition: TopicPartition) -> int:
    """The broker that leads `partition`, by what the client knows."""
    found: int | None = client.cluster.leader_for_partition(partition)
    if found is None:
        raise kafka.UnknownTopicOrPartitionError
    if found < 0:
        raise kafka.LeaderNotAvailableError
    return found


def raise_for(code: int, topic: str) -> None:
    """The error that a broker answered with, if it is one."""
    error = kafka.for_code(code)
    if error is kafka.NoError:
        return
    if error is kafka.TopicAuthorizationFailedError:
        raise LogUnavailable(f"this user may not read topic {topic}")
    raise error
