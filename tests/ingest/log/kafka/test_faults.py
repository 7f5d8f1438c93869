"""Kafka brokers that hang, end, come back and lead no more, under a log that is being written to. Real brokers."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka.log import AppendLimits, KafkaLog
from ingest.log.kafka.producer import AiokafkaProducer
from ingest.report import Partition
from ingest.topics.wanted import PROBE_TOPIC
from load.broker import Broker, Cluster, cluster
from tests import open_sockets
from tests.ingest.log.kafka.producer_stand_in import until
from tests.ingest.log.kafka.stream import RECOVERY_SECONDS, TOPIC, Stream, entry, keys, stored
from tests.kafka_admin import admin_client, delete_topics, make_topics

pytestmark = pytest.mark.kafka

LIMITS = AppendLimits(seconds=1.5)


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker that is alone; a test that stops or hangs it starts it again."""
    with cluster(tmp_path_factory.mktemp("lonely")) as kafka:
        yield kafka


@asynccontextmanager
async def log_of(kafka: Cluster, topic_prefix: str, limits: AppendLimits) -> AsyncIterator[KafkaLog]:
    """A log whose topic has one partition, on the broker that is alone."""
    make_topics(kafka.bootstrap, [topic_prefix + TOPIC, topic_prefix + PROBE_TOPIC])
    log = KafkaLog(kafka.connection(), topic_prefix=topic_prefix, limits=limits)
    await stored(log, b"before")
    yield log
    await log.close()


@pytest.fixture
async def log(lonely: Cluster, topic_prefix: str) -> AsyncIterator[KafkaLog]:
    """A log with impatient callers."""
    async with log_of(lonely, topic_prefix, LIMITS) as log:
        yield log


@pytest.fixture
async def patient_log(lonely: Cluster, topic_prefix: str) -> AsyncIterator[KafkaLog]:
    """A log whose callers wait for what the broker says."""
    async with log_of(lonely, topic_prefix, AppendLimits(seconds=20)) as log:
        yield log


@pytest.mark.faults
async def test_a_hung_broker(lonely: Cluster, log: KafkaLog) -> None:
    """While a broker hangs, what was handed over is in doubt and what waits is refused; who tries again is stored."""
    (broker,) = lonely.brokers
    broker.pause()
    try:
        begun = asyncio.create_task(log.append([entry(b"begun")]))
        await asyncio.sleep(0.2)
        waiting = asyncio.create_task(log.append([entry(b"waiting")]))
        with pytest.raises(InDoubt):
            await begun
        with pytest.raises(LogUnavailable):
            await waiting
        with pytest.raises(LogUnavailable):
            await log.probe()
    finally:
        broker.resume()
    in_doubt = await stored(log, b"retried")
    found = await keys(log)
    assert found[b"waiting"] == 0
    assert 1 <= found[b"retried"] <= 1 + in_doubt
    assert found[b"begun"] <= 1


def restart(broker: Broker) -> None:
    """Let it end in good order, and start again."""
    broker.stop()
    broker.start()


def crash(broker: Broker) -> None:
    """Kill it and start it again over what is on its disk."""
    broker.kill()
    broker.start()


@pytest.mark.parametrize("happens", [restart, crash])
@pytest.mark.faults
async def test_a_broker_that_starts_again(lonely: Cluster, log: KafkaLog, happens: Callable[[Broker], None]) -> None:
    """After its broker was started again the log goes on by itself: nothing is lost and nothing is there twice."""
    stream = Stream(log)
    async with stream.flowing():
        await stream.more(50)
        await asyncio.to_thread(happens, lonely.brokers[0])
        await stream.more(50)
    await stream.check()


@pytest.mark.faults
async def test_a_broker_that_hangs_for_a_while(lonely: Cluster, log: KafkaLog) -> None:
    """After its broker hung longer than a request may take, the log goes on by itself, with nothing lost or doubled."""
    stream = Stream(log)
    async with stream.flowing():
        await stream.more(50)
        lonely.brokers[0].pause()
        try:
            await asyncio.sleep(5)
            await until(lambda: stream.in_doubt and stream.refused, seconds=RECOVERY_SECONDS)
        finally:
            lonely.brokers[0].resume()
        await stream.more(50)
    await stream.check()


@pytest.mark.faults
async def test_nothing_is_left_of_a_log_that_is_closed_while_its_broker_hangs(lonely: Cluster, log: KafkaLog) -> None:
    """Closing ends in bounded time though the broker hangs, and leaves no task and no socket behind."""
    gc.collect()  # sockets that others left are none of ours
    tasks = asyncio.all_tasks()
    async with open_sockets.ended_with_the_block():
        other = KafkaLog(lonely.connection(), topic_prefix=log._appender._prefix, limits=LIMITS)
        await stored(other, b"one")
        await other.read(Partition(TOPIC, 0), after=-1, limit=1)
        lonely.brokers[0].pause()
        try:
            call = asyncio.create_task(other.append([entry(b"lost", bytes(20_000_000))]))
            await asyncio.sleep(0.2)
            async with asyncio.timeout(9):
                await other.close()
            with pytest.raises(InDoubt):
                await call
        finally:
            lonely.brokers[0].resume()
        del other, call
        gc.collect()
    await until(lambda: asyncio.all_tasks() <= tasks)


async def test_a_refused_batch_costs_nothing(patient_log: KafkaLog) -> None:
    """Entries that the broker does not take are refused, not in doubt, and the others go by the same producer."""
    # Were its sequence numbers not taken back, the broker would see a hole behind each refused batch.
    log, before = patient_log, await keys(patient_log)
    producer = await log._producers.running()
    for number in range(3):
        with pytest.raises(LogUnavailable, match="an entry is larger than it takes"):
            await log.append([entry(b"huge", bytes(2_000_000)), entry(b"beside it")])
        await log.append([entry(b"after %d" % number)])
    assert await log._producers.running() is producer
    assert await keys(log) == before | {b"after %d" % number: 1 for number in range(3)}


async def test_a_topic_that_was_deleted(lonely: Cluster, log: KafkaLog, topic_prefix: str) -> None:
    """What is written to a topic that was deleted meanwhile is refused in the end, and the topic is named."""
    delete_topics(lonely.bootstrap, [topic_prefix + TOPIC])
    said = ""
    async with asyncio.timeout(RECOVERY_SECONDS):
        while f"topic {topic_prefix}{TOPIC} has no partition 0: make topics with" not in said:
            with pytest.raises((LogUnavailable, InDoubt)) as failed:
                await log.append([entry(b"key")])
            said = str(failed.value)
    assert topic_prefix + TOPIC not in admin_client(lonely.bootstrap).list_topics(timeout=RECOVERY_SECONDS).topics


async def test_a_producer_out_of_order_is_replaced(patient_log: KafkaLog) -> None:
    """When the broker sees a hole in the sequence the batch is in doubt, and the next one goes by a new producer."""
    log = patient_log
    stuck = await log._producers.running()
    assert isinstance(stuck, AiokafkaProducer)
    numbers = stuck._started._txn_manager._sequence_numbers
    for partition in numbers:
        numbers[partition] += 5
    with pytest.raises(InDoubt, match="OutOfOrderSequenceNumber"):
        await log.append([entry(b"in doubt")])
    in_doubt = await stored(log, b"after")
    assert await log._producers.running() is not stuck
    assert 1 <= (await keys(log))[b"after"] <= 1 + in_doubt
