"""Three brokers, of which one is lost, hung, or started again: what is acknowledged is on two of them at least."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from ingest.log.kafka.log import AppendLimits, KafkaLog, KafkaLogReader
from ingest.topics.wanted import PROBE_TOPIC
from load.broker import Broker, Cluster
from tests.ingest.log.kafka.stream import TOPIC, Stream, keys, stored
from tests.kafka_admin import make_topics

pytestmark = pytest.mark.kafka

LIMITS = AppendLimits(seconds=1.5)
PARTITIONS = 6
"""As a rule each broker leads two."""


@pytest.fixture
async def stream(kafka_cluster: Cluster, topic_prefix: str) -> AsyncIterator[Stream]:
    """A stream of appends to partitions that every broker leads some of."""
    make_topics(kafka_cluster.bootstrap, [topic_prefix + TOPIC], partitions=PARTITIONS, copies=3)
    make_topics(kafka_cluster.bootstrap, [topic_prefix + PROBE_TOPIC], copies=3)
    log = KafkaLog(kafka_cluster.connection(), topic_prefix=topic_prefix, limits=LIMITS)
    await stored(log, b"before")
    yield Stream(log)
    await log.close()


def stopped(broker: Broker) -> Callable[[], None]:
    """It ends in good order."""
    broker.stop()
    return broker.start


def killed(broker: Broker) -> Callable[[], None]:
    """It ends at once."""
    broker.kill()
    return broker.start


def hung(broker: Broker) -> Callable[[], None]:
    """It goes on to hold its connections, and says nothing."""
    broker.pause()
    return broker.resume


@pytest.mark.parametrize("lost", [stopped, killed, hung])
async def test_one_broker_of_three_is_lost(
    kafka_cluster: Cluster, stream: Stream, lost: Callable[[Broker], Callable[[], None]]
) -> None:
    """While one broker of three is away every partition takes entries again, and when it is back nothing is missing."""
    async with stream.flowing():
        await stream.more(100)
        back = await asyncio.to_thread(lost, kafka_cluster.brokers[0])
        try:
            for number in range(3 * PARTITIONS):
                await stored(stream.log, b"meanwhile %d" % number)
        finally:
            await asyncio.to_thread(back)
        await stream.more(100)
    await stream.check()


async def test_a_rolling_restart(kafka_cluster: Cluster, stream: Stream, topic_prefix: str) -> None:
    """Brokers that are started again one after the other lose nothing, and a reader finds it all by any of them."""
    async with stream.flowing():
        for broker in kafka_cluster.brokers:
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            await stream.more(50)
    await stream.check()
    reader = KafkaLogReader(kafka_cluster.connection(), topic_prefix=topic_prefix)
    try:
        assert await keys(reader) == await keys(stream.log)
    finally:
        await reader.close()
