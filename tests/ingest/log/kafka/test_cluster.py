"""Three brokers, of which one is lost, hung, or started again: what is acknowledged is on two of them at least."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from ingest.log.kafka.log import AppendLimits, KafkaLog, KafkaLogReader
from ingest.topics.wanted import PROBE_TOPIC
from load.broker import Cluster
from tests.ingest.log.kafka.stream import TOPIC, Stream, keys, stored
from tests.kafka_admin import follows, make_topics

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

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


Undo = Callable[[], None]


def stopped(kafka: Cluster, topic: str) -> Undo:
    """It ends in good order."""
    del topic
    broker = kafka.brokers[0]
    broker.stop()
    return broker.start


def killed(kafka: Cluster, topic: str) -> Undo:
    """It ends at once."""
    del topic
    broker = kafka.brokers[0]
    broker.kill()
    return broker.start


def hung(kafka: Cluster, topic: str) -> Undo:
    """It goes on to hold its connections, and says nothing; it is back when it believes no more that it leads."""
    broker = kafka.brokers[0]
    broker.pause()

    def back() -> None:
        broker.resume()
        follows(kafka.bootstrap, topic, node=broker.node_id)

    return back


@pytest.mark.parametrize("lost", [stopped, killed, hung])
async def test_one_broker_of_three_is_lost(
    kafka_cluster: Cluster, topic_prefix: str, stream: Stream, lost: Callable[[Cluster, str], Undo]
) -> None:
    """While one broker of three is away every partition takes entries again, and when it is back nothing is missing."""
    async with stream.flowing():
        await stream.more(100)
        back = await asyncio.to_thread(lost, kafka_cluster, topic_prefix + TOPIC)
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
