"""Reading from Kafka: where a partition begins, what others wrote into it, and what must not be made by asking."""

import asyncio
import socket
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any, NoReturn

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.metadata import MetadataResponse_v5
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka import Producer

from ingest.log import LogDamaged, LogUnavailable
from ingest.log.kafka import client as kafka_client
from ingest.log.kafka import reader as kafka_reader
from ingest.log.kafka.client import all_topics, learn_topics
from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog, KafkaLogReader
from ingest.log.kafka.records import fetched
from ingest.log.kafka.topic_names import TopicNamesResponse_v5
from ingest.log.partition_stats import PartitionStats
from ingest.report import Entry, Extent, Partition
from ingest.topics.wanted import PROBE_TOPIC
from tests.ingest.log.kafka.stream import TOPIC, entry
from tests.kafka_admin import delete_records, make_topics
from tests.real_kafka import mock_cluster

PARTITION = Partition(TOPIC, 0)
LATER = "tidegate.managed.route_window.v2"
SECONDS = 30


@pytest.fixture
async def log(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaLog]:
    """A log whose topic has one partition."""
    make_topics(kafka_bootstrap, [topic_prefix + TOPIC, topic_prefix + PROBE_TOPIC])
    log = KafkaLog(KafkaConnection(kafka_bootstrap), topic_prefix=topic_prefix, limits=AppendLimits(seconds=20))
    yield log
    await log.close()


def numbered(how_many: int, *, size: int = 5) -> list[Entry]:
    """Entries with keys of their own, in the order of these."""
    return [entry(b"%06d" % number, bytes(size)) for number in range(how_many)]


@pytest.mark.usefixtures("kafka_bootstrap")
class TestOnABroker:
    pytestmark = pytest.mark.kafka

    async def test_what_retention_took_away(self, log: KafkaLog, kafka_bootstrap: str, topic_prefix: str) -> None:
        """A partition is read from where it begins now, and one that was emptied says how far it reached."""
        await log.append(numbered(10))
        delete_records(kafka_bootstrap, topic_prefix + TOPIC, {0: 4})
        assert await log.extent(PARTITION) == Extent(4, 10)
        assert [stored.offset for stored in await log.read(PARTITION, after=-1, limit=3)] == [4, 5, 6]
        assert [stored.offset for stored in await log.read(PARTITION, after=1, limit=100)] == [4, 5, 6, 7, 8, 9]
        delete_records(kafka_bootstrap, topic_prefix + TOPIC, {0: 10})
        assert await log.extent(PARTITION) == Extent(10, 10)
        assert list(await log.read(PARTITION, after=-1, limit=100)) == []
        assert list(await log.partitions()) == [PARTITION]

    async def test_behind_the_end_there_is_nothing(self, log: KafkaLog) -> None:
        """Reading behind an offset that the partition has not reached returns nothing, and is no error."""
        await log.append(numbered(3))
        assert list(await log.read(PARTITION, after=50, limit=10)) == []

    @pytest.mark.parametrize("limit", [1, 7, 1000, 5000])
    async def test_more_than_one_fetch(self, log: KafkaLog, limit: int) -> None:
        """What is larger than a fetch is read whole and in order, however much is asked for at a time."""
        sent = numbered(400, size=10_000)
        for start in range(0, 400, 100):
            await log.append(sent[start : start + 100])
        found: list[Entry] = []
        while len(found) < 400:
            step = await log.read(PARTITION, after=len(found) - 1, limit=limit)
            assert len(step) == min(limit, 400 - len(found)), "fewer than asked for, and it is not the end"
            found += [stored.entry for stored in step]
        assert found == sent
        assert [stored.entry for stored in await log.read(PARTITION, after=4, limit=2)] == sent[5:7]

    async def test_what_others_wrote(self, log: KafkaLog, kafka_bootstrap: str, topic_prefix: str) -> None:
        """Records of a transaction are entries, its marker is none though it has an offset; no key is an empty one."""
        await log.append([entry(b"before")])
        others = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": topic_prefix, "log_level": 0})
        others.init_transactions(SECONDS)
        others.begin_transaction()
        others.produce(topic_prefix + TOPIC, key=None, value=None, timestamp=5)
        others.commit_transaction(SECONDS)
        while (await log.extent(PARTITION)).end < 3:
            await asyncio.sleep(0.01)  # the coordinator writes the marker after it said yes
        assert [stored.offset for stored in await log.read(PARTITION, after=0, limit=100)] == [1]
        await log.append([entry(b"after")])
        found = await log.read(PARTITION, after=-1, limit=100)
        assert [(stored.offset, stored.entry.key) for stored in found] == [(0, b"before"), (1, b""), (3, b"after")]
        assert found[1].entry == Entry(TOPIC, b"", b"", 5)
        assert [stored.offset for stored in await log.read(PARTITION, after=1, limit=1)] == [3]

    async def test_only_topics_of_ours_are_listed(self, log: KafkaLog, kafka_bootstrap: str, topic_prefix: str) -> None:
        """Partitions are those of our topics under this prefix; a probe, others' topics and Kafka's own are none."""
        make_topics(kafka_bootstrap, [f"{topic_prefix}somebody.else", f"{topic_prefix}other.{TOPIC}"])
        others = Producer({"bootstrap.servers": kafka_bootstrap, "log_level": 0})
        for topic in ("somebody.else", f"other.{TOPIC}"):
            others.produce(topic_prefix + topic, value=b"theirs")
        others.flush(SECONDS)
        await log.probe()
        await log.append([entry(b"ours")])
        assert list(await log.partitions()) == [PARTITION]

    async def test_a_topic_made_since_is_seen_at_once(
        self, log: KafkaLog, kafka_bootstrap: str, topic_prefix: str
    ) -> None:
        """What was acknowledged before a call is among its partitions, though its topic was made after the last one."""
        await log.append([entry(b"before")])
        reader = KafkaLogReader(KafkaConnection(kafka_bootstrap), topic_prefix=topic_prefix)
        try:
            assert list(await reader.partitions()) == [PARTITION]
            make_topics(kafka_bootstrap, [topic_prefix + LATER], partitions=3)
            (position,) = await log.append([Entry(LATER, b"key", b"value", 0)])
            assert list(await reader.partitions()) == [PARTITION, position.partition]
        finally:
            await reader.close()

    async def test_others_topics_are_not_asked_about(
        self, log: KafkaLog, kafka_bootstrap: str, topic_prefix: str
    ) -> None:
        """Whatever a reader is asked, it goes on with metadata of our topics alone, and of topics that are there."""
        make_topics(kafka_bootstrap, [f"{topic_prefix}somebody.else"])
        await log.append([entry(b"ours")])
        reader = log._reader
        assert isinstance(reader, KafkaLogReader)
        client = await reader._connected()
        assert client.cluster.topics() == set()
        assert [stored.entry.key for stored in await log.read(PARTITION, after=-1, limit=9)] == [b"ours"]
        assert client.cluster.topics() == {topic_prefix + TOPIC}
        assert list(await log.partitions()) == [PARTITION]
        assert list(await log.partitions_of(TOPIC)) == [PARTITION]
        await learn_topics(client)
        assert client.cluster.topics() == {topic_prefix + TOPIC}

    async def test_what_a_person_looks_at(self, log: KafkaLog, kafka_bootstrap: str, topic_prefix: str) -> None:
        """A partition is counted from end to end, and its newest entries are found from where it begins now."""
        await log.append(numbered(10))
        delete_records(kafka_bootstrap, topic_prefix + TOPIC, {0: 2})
        reader = KafkaLogReader(KafkaConnection(kafka_bootstrap), topic_prefix=topic_prefix)
        try:
            time = entry(b"").timestamp
            assert list(await reader.stats()) == [PartitionStats(PARTITION, 8, 8 * 5, 2, 9, time, time)]
            assert [await reader.before_newest(PARTITION, entries=number) for number in (0, 3, 8, 9)] == [9, 6, -1, -1]
        finally:
            await reader.close()

    async def test_an_end_that_falls_is_asked_again(self, log: KafkaLog, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer by which the partition ends before what was seen already is not believed at once."""
        await log.append(numbered(3))
        reader = log._reader
        assert isinstance(reader, KafkaLogReader)
        assert await reader.extent(PARTITION) == Extent(0, 3)
        reader._ends[reader._there(PARTITION)] = 4
        with monkeypatch.context() as patch:
            patch.setattr(kafka_reader, "READ_SECONDS", 3)
            with pytest.raises(LogUnavailable):
                await reader.extent(PARTITION)
        assert await reader.extent(PARTITION) == Extent(0, 3)

    def test_on_the_loop_of_the_gate(self, kafka_bootstrap: str, topic_prefix: str) -> None:
        """On uvloop, which the gate runs on, a log is written, read, and closed without a warning."""
        make_topics(kafka_bootstrap, [topic_prefix + TOPIC], partitions=3)

        async def run() -> int:
            log = KafkaLog(KafkaConnection(kafka_bootstrap), topic_prefix=topic_prefix)
            await asyncio.gather(*(log.append([one]) for one in numbered(100)))
            found = [await log.read(partition, after=-1, limit=1000) for partition in await log.partitions()]
            await log.close()
            return sum(map(len, found))

        assert uvloop.run(run()) == 100


async def test_no_topic_is_made_by_asking_for_it() -> None:
    """On brokers that make every topic which a client names, none is made by an append, a read or an extent."""
    with mock_cluster() as bootstrap:
        log = KafkaLog(KafkaConnection(bootstrap), limits=AppendLimits(seconds=20))
        try:
            with pytest.raises(LogUnavailable, match="tidegate topics apply"):
                await log.append([entry(b"key")])
            assert list(await log.read(PARTITION, after=-1, limit=1)) == []
            assert await log.extent(PARTITION) == Extent(0, 0)
            reader = log._reader
            assert isinstance(reader, KafkaLogReader)
            client = await reader._connected()
            assert await all_topics(client) == set()
            client.add_topic("ours")
            await learn_topics(client)
            assert await all_topics(client) == set()
            theirs = AIOKafkaClient(bootstrap_servers=bootstrap)
            await theirs.bootstrap()
            await theirs._wait_on_metadata("theirs")
            await theirs.close()
            assert await all_topics(client) == {"theirs"}, "these brokers make no topics"
        finally:
            await log.close()


def test_names_are_read_behind_partitions() -> None:
    """The names of topics are those that aiokafka reads, however many partitions and replicas stand between them."""
    brokers = [(node, "broker", 9092, None) for node in (1, 2, 3)]
    partitions = [(0, number, 1, [1, 2, 3], [1, 2][:number], [3] * number) for number in range(4)]
    topics = [(0, f"topic.{number}", False, partitions[:number]) for number in range(5)]
    answer = BytesIO(MetadataResponse_v5(0, brokers, "cluster", 1, topics).encode())
    names: Any = TopicNamesResponse_v5.decode(answer)
    assert [topic for _, topic, *_ in names.topics] == [name for _, name, *_ in topics]
    assert answer.read() == b"", "something is left"


async def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that finds no broker says which it tried and why that failed."""
    monkeypatch.setattr(kafka_client, "DIAGNOSIS_SECONDS", 20)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_such_host)
    reader = KafkaLogReader(KafkaConnection("127.0.0.1:1,nowhere.invalid:9092"))
    with pytest.raises(
        LogUnavailable, match=r"127\.0\.0\.1:1: nobody listens there; nowhere\.invalid:9092: there is no"
    ):
        await reader.partitions()
    await reader.close()


async def no_such_host(*_: object, **__: object) -> NoReturn:
    """What a name server says of `nowhere.invalid`, at once; an address alone is not asked about."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def batch(*keys: bytes) -> bytearray:
    """Records as a broker returns them."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    for offset, key in enumerate(keys):
        builder.append(offset, 0, key, b"value", [])
    built: bytearray = builder.build()
    return built


def test_a_damaged_batch_is_never_shown() -> None:
    """A flipped byte in what a broker returns fails the read; without it the same bytes are entries."""
    whole = batch(b"one", b"two")
    assert [stored.entry.key for stored in fetched(TOPIC, bytes(whole), begin=0, end=2).entries] == [b"one", b"two"]
    for at in range(21, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x01
        with pytest.raises(LogDamaged, match="is damaged"):
            fetched(TOPIC, bytes(damaged), begin=0, end=2)


def test_what_is_before_a_damaged_batch_is_shown() -> None:
    """Batches before a damaged one are entries, and the next fetch begins with the damaged one."""
    whole, damaged = bytes(batch(b"one", b"two")), batch(b"three")
    damaged[-1] ^= 0x01
    found = fetched(TOPIC, whole + bytes(damaged), begin=0, end=3)
    assert ([stored.entry.key for stored in found.entries], found.next) == ([b"one", b"two"], 2)


def test_a_batch_that_was_cut_off_is_left_for_the_next_fetch() -> None:
    """Of a batch that is not whole nothing is shown, and the next fetch begins with it."""
    whole = bytes(batch(b"one"))
    found = fetched(TOPIC, whole + whole[:-1], begin=0, end=2)
    assert ([stored.offset for stored in found.entries], found.next) == ([0], 1)
