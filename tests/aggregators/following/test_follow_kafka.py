"""The follower on a real Kafka: from its own offsets, over what a cluster and its operators do to topics."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from aggregators.following import follow
from aggregators.following.follow import Follower
from aggregators.following.standing import State, Why
from aggregators.repair.gaps import find_gaps
from ingest.log.kafka.log import KafkaConnection
from ingest.log.kafka.reader import KafkaLogReader
from ingest.log.memory import MemoryLog
from ingest.report import Partition, StoredEntry
from load.broker import cluster
from tests.aggregators.followers import (
    PATIENCE_SECONDS,
    asked,
    clock_at,
    contents,
    drain,
    follow_to_the_end,
    following,
)
from tests.aggregators.following.test_follow import stopped
from tests.aggregators.stored_reports import CATALOGUE, fill, stored
from tests.kafka_admin import delete_records, delete_topics, grow, make_topics
from tests.kafka_on_demand import KafkaLogOnDemand

pytestmark = pytest.mark.kafka

ENTRIES = stored(120, seed=13)
TOPIC = "tidegate.managed.route_window.v1"
SECONDS = 30


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is repeated every second is repeated at once."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(follow, "IDLE_SECONDS", 0.05)


@pytest.fixture
async def log(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaLogOnDemand]:
    """A log of topics of three partitions."""
    log = KafkaLogOnDemand(kafka_bootstrap, topic_prefix=topic_prefix, partitions=3)
    yield log
    await log.close()


@pytest.fixture
async def reader(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaLogReader]:
    """A reader of the same log, as another process would have it."""
    reader = KafkaLogReader(KafkaConnection(kafka_bootstrap), topic_prefix=topic_prefix)
    yield reader
    await reader.close()


@pytest.fixture
def topic(topic_prefix: str) -> str:
    """How Kafka calls `TOPIC`."""
    return topic_prefix + TOPIC


async def ends(reader: KafkaLogReader) -> dict[int, int]:
    """Where each partition of `TOPIC` ends."""
    return {number: (await reader.extent(Partition(TOPIC, number))).end for number in range(3)}


async def test_tables_are_those_of_any_log(log: KafkaLogOnDemand, reader: KafkaLogReader, tmp_path: Path) -> None:
    """Two followers, one after the other, make the tables that one makes of a log in memory."""
    memory = MemoryLog(partitions=3)
    for part in (ENTRIES[:70], ENTRIES[70:]):
        await fill(log, part)
        await fill(memory, part)
        await follow_to_the_end(tmp_path / "kafka", reader)
    await follow_to_the_end(tmp_path / "memory", memory)
    assert contents(tmp_path / "kafka") == contents(tmp_path / "memory")


async def test_retention_may_take_all_that_was_applied(
    log: KafkaLogOnDemand, reader: KafkaLogReader, tmp_path: Path, kafka_bootstrap: str, topic: str
) -> None:
    """A partition of which nothing is left that is new is no error, and what comes later is counted."""
    await fill(log, ENTRIES[:70])
    await follow_to_the_end(tmp_path, reader)
    delete_records(kafka_bootstrap, topic, await ends(reader))
    async with following(tmp_path, reader) as follower:
        await drain(follower)
        assert (follower.status().state, follower.status().why) == (State.FOLLOWING, None)
        await fill(log, ENTRIES[70:])
        await drain(follower)
        reports = sum("control" not in entry.topic for entry in ENTRIES[70:])
        assert follower.status().applied + follower.status().duplicates == reports


@pytest.mark.parametrize("left", [0, 1], ids=["nothing is left", "the newest is left"])
async def test_history_that_is_gone(
    log: KafkaLogOnDemand, reader: KafkaLogReader, tmp_path: Path, kafka_bootstrap: str, topic: str, left: int
) -> None:
    """It stops and names the command, which shows what is lost; once that is accepted it goes on behind it."""
    await fill(log, ENTRIES[:70])
    await follow_to_the_end(tmp_path, reader)
    before = await ends(reader)
    await fill(log, ENTRIES[70:])
    after = await ends(reader)
    delete_records(kafka_bootstrap, topic, {number: max(before[number], end - left) for number, end in after.items()})
    async with following(tmp_path, reader) as follower:
        await stopped(follower)
        assert follower.status().why is Why.HISTORY_GONE
        assert "tidegate gap --data DIR" in follower.status().detail
    gaps = await find_gaps(tmp_path, reader, tiers=CATALOGUE.tiers, clock=clock_at(12), accept_why="a test")
    expected = {
        (number, before[number], end - left - 1) for number, end in after.items() if end - left > before[number]
    }
    assert {(gap.partition.number, gap.first, gap.last) for gap in gaps} == expected
    assert expected
    await follow_to_the_end(tmp_path, reader)
    assert set(asked(tmp_path, 'SELECT "partition", "first", "last" FROM gaps')) == expected


async def test_history_goes_while_it_follows(
    log: KafkaLogOnDemand,
    reader: KafkaLogReader,
    tmp_path: Path,
    kafka_bootstrap: str,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is removed before it was read is noticed, though nothing comes behind it that could be read."""
    await fill(log, ENTRIES[:70])
    clock = clock_at(12)
    async with following(tmp_path, reader, clock=clock) as follower:
        await drain(follower)
        with monkeypatch.context() as patched:
            patched.setattr(reader, "read", nothing_yet)
            await fill(log, ENTRIES[70:])
            delete_records(kafka_bootstrap, topic, await ends(reader))
        clock.advance(follow.COMPARE_SECONDS)
        await stopped(follower)
        assert follower.status().why is Why.HISTORY_GONE


async def nothing_yet(partition: Partition, *, after: int, limit: int) -> list[StoredEntry]:
    """A read that is slower than what happens meanwhile."""
    del partition, after, limit
    return []


@pytest.mark.parametrize("again", [True, False], ids=["made anew", "deleted"])
async def test_a_topic_that_was_deleted(
    log: KafkaLogOnDemand, reader: KafkaLogReader, tmp_path: Path, kafka_bootstrap: str, topic: str, again: bool
) -> None:
    """A topic that holds less than was counted from it stops the follower, and nothing is taken from it."""
    await fill(log, ENTRIES)
    await follow_to_the_end(tmp_path, reader)
    before = contents(tmp_path)
    delete_topics(kafka_bootstrap, [topic])
    if again:
        make_topics(kafka_bootstrap, [topic], partitions=3)
    async with following(tmp_path, reader) as follower:
        await stopped(follower)
        assert follower.status().why is Why.LOG_REPLACED
    assert contents(tmp_path) == before


async def test_a_partition_that_was_added(
    log: KafkaLogOnDemand, reader: KafkaLogReader, tmp_path: Path, kafka_bootstrap: str, topic: str
) -> None:
    """Records of a partition that came while it follows are counted, and a retry in it is still a duplicate."""
    await fill(log, ENTRIES)
    async with following(tmp_path, reader) as follower:
        await drain(follower)
        before = follower.status()
        grow(kafka_bootstrap, topic, partitions=8)
        again = [entry for entry in ENTRIES if entry.topic == TOPIC]
        producer = Producer({"bootstrap.servers": kafka_bootstrap})
        for entry in again:
            producer.produce(topic, entry.value, entry.key, 7, timestamp=entry.timestamp, headers=list(entry.headers))
        assert producer.flush(SECONDS) == 0
        await drain(follower)
        assert follower.status().duplicates - before.duplicates == len(again)
        assert follower.status().applied == before.applied
    assert asked(tmp_path, f"SELECT last FROM offsets WHERE partition = 7 AND topic = '{TOPIC}'") == [  # noqa: S608
        (len(again) - 1,)
    ]


async def test_what_is_not_ours_is_parked(
    log: KafkaLogOnDemand, reader: KafkaLogReader, tmp_path: Path, kafka_bootstrap: str, topic: str
) -> None:
    """Records that somebody else wrote, of an unknown schema, without a value, without a key, are parked and passed."""
    await fill(log, ENTRIES[:60])
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    foreign: list[tuple[bytes | None, bytes | None]] = [
        (b"key", b"\xc3\x01unknown! and more"),
        (b"key", None),
        (None, b"not of ours"),
        (b"key", b"\x00\x00\x00\x30\x39 of a registry that nobody here knows"),
        (b"", b""),
    ]
    for key, value in foreign:
        producer.produce(topic, value, key, 0)
    assert producer.flush(SECONDS) == 0
    await fill(log, ENTRIES[60:])
    async with following(tmp_path, reader) as follower:
        await drain(follower)
        assert follower.status().parked == len(foreign)
        reports = sum("control" not in entry.topic for entry in ENTRIES)
        assert follower.status().applied + follower.status().duplicates == reports


async def state(follower: Follower, why: Why | None) -> None:
    """Return once it stands so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while follower.status().why is not why:
            await asyncio.sleep(0.02)


@pytest.mark.faults
async def test_a_broker_goes_and_comes_back(tmp_path: Path) -> None:
    """While no broker answers it waits and says so, and then goes on by itself, with nothing lost or counted twice."""
    with cluster(tmp_path / "kafka") as kafka:
        log = KafkaLogOnDemand(kafka.bootstrap, topic_prefix="t.", partitions=3)
        reader = KafkaLogReader(KafkaConnection(kafka.bootstrap), topic_prefix="t.")
        await fill(log, ENTRIES[:70])
        async with following(tmp_path / "rollups", reader) as follower:
            await drain(follower)
            kafka.brokers[0].kill()
            await state(follower, Why.LOG_UNAVAILABLE)
            assert follower.status().state is State.CATCHING_UP
            await asyncio.to_thread(kafka.brokers[0].start)
            await state(follower, None)
            await fill(log, ENTRIES[70:])
            await drain(follower)
        await log.close()
        await reader.close()
    memory = MemoryLog(partitions=3)
    await fill(memory, ENTRIES[:70])
    await fill(memory, ENTRIES[70:])
    await follow_to_the_end(tmp_path / "memory", memory)
    assert contents(tmp_path / "rollups") == contents(tmp_path / "memory")
