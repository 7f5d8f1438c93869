"""What an append needs of topics, and how many partitions they have for it."""

import asyncio

import pytest

from ingest.log import LogUnavailable
from ingest.log.kafka import append as kafka_append
from ingest.log.kafka.producer import MAX_BATCH_BYTES
from tests.ingest.log.kafka.append_bench import KEYS, TOPIC, TWO, Bench, confirmed, entry
from tests.ingest.log.kafka.producer_stand_in import StandInProducer


async def test_a_missing_topic_is_refused(bench: Bench) -> None:
    """An entry whose topic is not there is refused with the command that makes it, and so is all beside it."""
    with pytest.raises(LogUnavailable, match=r"topic tidegate\.nowhere\.v1 is not there.*tidegate topics apply"):
        await bench.log.append([entry(b"key"), entry(b"key", topic="tidegate.nowhere.v1")])
    assert bench.sent == []


async def test_missing_topics_are_named(bench: Bench) -> None:
    """Whoever asks whether topics are there is told of those that are missing, and of none that is."""
    await bench.log.require([TOPIC, TWO])
    with pytest.raises(LogUnavailable, match=r"topics tidegate\.a, tidegate\.b, tidegate\.c and 1 more are not there"):
        await bench.log.require([TOPIC, *(f"tidegate.{name}" for name in "dcba")])


async def test_times_of_the_brokers_are_refused(bench: Bench) -> None:
    """Topics where brokers write times of their own are named with what to do, though all are there."""
    producer = await bench.log._producers.running()
    assert isinstance(producer, StandInProducer)
    producer.timestamps = "LogAppendTime"
    with pytest.raises(LogUnavailable, match=rf"topics {TWO}, {TOPIC} have another .* see `tidegate topics plan`"):
        await bench.log.require([TOPIC, TWO])


async def test_topics_that_take_no_whole_batch_are_refused(bench: Bench) -> None:
    """Topics that take less than the largest batch of a gate are named with what to do, and others are not."""
    producer = await bench.log._producers.running()
    assert isinstance(producer, StandInProducer)
    producer.largest_batch = MAX_BATCH_BYTES
    await bench.log.require([TOPIC])
    producer.largest_batch -= 1
    with pytest.raises(LogUnavailable, match=rf"topic {TOPIC} has a max\.message\.bytes below 1000000.*topics apply"):
        await bench.log.require([TOPIC])


async def test_all_that_is_asked_of_topics_has_one_deadline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that answers each question in time and all of them too late is given up."""
    monkeypatch.setattr(kafka_append, "REQUIRE_SECONDS", 0.3)
    producer = await bench.log._producers.running()
    assert isinstance(producer, StandInProducer)
    producer.seconds = 0.2
    with pytest.raises(LogUnavailable, match="in time"):
        await bench.log.require([TOPIC])


async def test_more_partitions_are_used_after_a_while(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that was given partitions has them here after a while, and keeps them if a broker shows fewer."""
    await asyncio.wait_for(confirmed(bench, KEYS[1]), 30)
    bench.producers[0].topics[TOPIC] = 2
    await asyncio.wait_for(confirmed(bench, KEYS[1]), 30)
    monkeypatch.setattr(kafka_append, "GROWTH_SECONDS", 0)
    bench.log._appender._look_again = 0
    await asyncio.wait_for(confirmed(bench, KEYS[1]), 30)
    bench.producers[0].topics[TOPIC] = 1
    await asyncio.wait_for(confirmed(bench, KEYS[1]), 30)
    assert [sent.partition for sent in bench.sent] == [0, 0, 1, 1]


async def test_whoever_asks_for_topics_has_them_as_they_are(bench: Bench) -> None:
    """Asked whether they are there, topics have as many partitions from then on as they have now, more or fewer."""
    for partitions in (1, 2, 1):
        (await bench.log._producers.running()).topics[TOPIC] = partitions  # type: ignore[attr-defined]  # a stand-in
        await bench.log.require([TOPIC])
        await asyncio.wait_for(confirmed(bench, KEYS[1]), 30)
    assert [sent.partition for sent in bench.sent] == [0, 1, 0]
