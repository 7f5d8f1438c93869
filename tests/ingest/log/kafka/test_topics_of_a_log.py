"""Topics that change under a log, or are not as it needs them, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka import append as kafka_append
from ingest.log.kafka.client import METADATA_SECONDS
from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog
from ingest.report import Entry
from tests.ingest.log.kafka.stream import RECOVERY_SECONDS, TOPIC, entry, keys
from tests.kafka_admin import configure, grow, make_topics

pytestmark = pytest.mark.kafka

MANY = [b"%d" % number for number in range(30)]


@pytest.fixture
async def log(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaLog]:
    """A log whose topic has one partition, which an entry was written to."""
    make_topics(kafka_bootstrap, [topic_prefix + TOPIC])
    log = KafkaLog(KafkaConnection(kafka_bootstrap), topic_prefix=topic_prefix, limits=AppendLimits(seconds=20))
    await log.append([entry(b"before")])
    yield log
    await log.close()


async def partitions_used(log: KafkaLog) -> set[int]:
    """Where an append of many keys lands."""
    return {position.partition.number for position in await log.append([entry(key) for key in MANY])}


async def refusal(log: KafkaLog, one: Entry) -> str:
    """Why an entry is refused; "" where it is stored."""
    try:
        await log.append([one])
    except LogUnavailable as error:
        return str(error)
    return ""


async def answered_or_not(log: KafkaLog) -> set[int]:
    """As `partitions_used`; nowhere if it fails."""
    with suppress(LogUnavailable, InDoubt):
        return await partitions_used(log)
    return set()


async def test_more_partitions_are_taken_on_when_asked(log: KafkaLog, kafka_bootstrap: str, topic_prefix: str) -> None:
    """A topic that was given partitions is written to as before until it is required, and then to all of them."""
    grow(kafka_bootstrap, topic_prefix + TOPIC, partitions=3)
    log._appender._look_again = float("inf")
    assert await partitions_used(log) == {0}
    await log.require([TOPIC])
    assert await partitions_used(log) == {0, 1, 2}
    assert await keys(log) == {b"before": 1} | dict.fromkeys(MANY, 2)


async def test_more_partitions_are_taken_on_by_themselves(
    log: KafkaLog, kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the metadata of the producer say so, which are renewed by themselves, all partitions are written to."""
    monkeypatch.setattr(kafka_append, "GROWTH_SECONDS", 0)
    grow(kafka_bootstrap, topic_prefix + TOPIC, partitions=3)
    await (await log._producers.running()).refresh()
    log._appender._look_again = 0
    assert await partitions_used(log) == {0, 1, 2}


async def test_partitions_that_a_producer_does_not_know_yet(
    log: KafkaLog, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """A partition that others know of before the producer does is asked about, long before all metadata are renewed."""
    grow(kafka_bootstrap, topic_prefix + TOPIC, partitions=3)
    log._appender._counts[TOPIC] = 3
    async with asyncio.timeout(METADATA_SECONDS / 3):
        # A part of them is stored meanwhile, in the partition that is known: that is in doubt.
        while await answered_or_not(log) != {0, 1, 2}:
            await asyncio.sleep(0.05)


async def test_a_topic_that_takes_no_whole_batch_is_refused(
    log: KafkaLog, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """A gate does not start on a topic that takes single entries, and of its batches only the smaller ones."""
    configure(kafka_bootstrap, topic_prefix + TOPIC, "max.message.bytes", "999999")
    with pytest.raises(LogUnavailable, match=rf"topic {topic_prefix}{TOPIC} has a max\.message\.bytes below 1000000"):
        await log.require([TOPIC])


async def test_who_shares_a_batch_with_what_is_refused(log: KafkaLog, kafka_bootstrap: str, topic_prefix: str) -> None:
    """Whose entry a topic takes is stored, once, by the same producer, whatever it refuses of what is sent with it."""
    configure(kafka_bootstrap, topic_prefix + TOPIC, "max.message.bytes", "20000")
    producer = await log._producers.running()
    async with asyncio.timeout(RECOVERY_SECONDS):
        while "larger than it takes" not in await refusal(log, entry(b"huge", bytes(30_000))):
            await asyncio.sleep(0.05)
    before = await keys(log)
    sent = [entry(b"%d" % number, bytes(2_000)) for number in range(40)]  # together more than it takes at once
    for number in (0, 7, 30):
        sent.insert(number, entry(b"huge", bytes(30_000)))
    said = await asyncio.gather(*(refusal(log, one) for one in sent))
    assert [bool(why) for why in said] == [one.key == b"huge" for one in sent]
    assert await log._producers.running() is producer
    assert await keys(log) == before | {one.key: 1 for one in sent if one.key != b"huge"}


async def test_a_topic_with_times_of_the_brokers_is_refused(
    log: KafkaLog, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """A gate does not start on a topic whose brokers write their own times over ours, and is told what to do."""
    await log.require([TOPIC])
    configure(kafka_bootstrap, topic_prefix + TOPIC, "message.timestamp.type", "LogAppendTime")
    said = rf"topic {topic_prefix}{TOPIC} has another message\.timestamp\.type than CreateTime.*`tidegate topics plan`"
    with pytest.raises(LogUnavailable, match=said):
        await log.require([TOPIC])
