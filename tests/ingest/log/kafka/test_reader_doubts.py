"""What a reader does not believe: brokers that lead no more, or only just, and connections that others have ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError

from ingest.log import LogUnavailable
from ingest.log.kafka import reader as kafka_reader
from ingest.log.kafka.log import KafkaConnection, KafkaLog, KafkaLogReader
from ingest.records import SCHEMAS_TOPIC
from ingest.report import Extent, Partition
from ingest.schema_topic import stored_schemas
from tests.ingest.log.kafka.client_stand_in import Shown, StandInClient, reader_of
from tests.ingest.log.kafka.stream import TOPIC

BYOD = "tidegate.byod.route_window.v1"
ZERO, ONE = Partition(TOPIC, 0), Partition(TOPIC, 1)
THERE = [TopicPartition(TOPIC, number) for number in (0, 1)]
SCHEMAS = TopicPartition(SCHEMAS_TOPIC, 0)


def cluster(*ends: int) -> StandInClient:
    """A client of a cluster whose one topic has so many partitions, with these ends."""
    return StandInClient({there: Shown(end) for there, end in zip(THERE, ends, strict=False)})


def again(client: StandInClient, *ends: int) -> None:
    """Let the brokers show this from the second metadata on that they are asked for."""
    asked = client.asked.count("metadata")
    client.then = lambda: client.asked.count("metadata") > asked + 1 and client.shows.update(cluster(*ends).shows)


async def offsets_of(reader: KafkaLogReader, partition: Partition, *, after: int = -1, limit: int = 100) -> list[int]:
    """The offsets that a read shows."""
    return [stored.offset for stored in await reader.read(partition, after=after, limit=limit)]


STALE = [
    pytest.param({}, id="no topics"),
    pytest.param({THERE[0]: Shown(3)}, id="a partition less"),
    pytest.param({THERE[0]: Shown(3), THERE[1]: Shown(0)}, id="an empty partition"),
    pytest.param({THERE[0]: Shown(3), THERE[1]: Shown(4)}, id="an earlier end"),
]


@pytest.mark.parametrize("stale", STALE)
async def test_a_broker_that_shows_less_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, stale: dict[TopicPartition, Shown]
) -> None:
    """Partitions that were seen do not go away because one broker does not know them, or knows less of them."""
    client = cluster(3, 5)
    reader = reader_of(monkeypatch, client)
    assert list(await reader.partitions()) == [ZERO, ONE]
    client.shows = dict(stale)
    again(client, 3, 6)
    assert list(await reader.partitions()) == [ZERO, ONE]
    assert await reader.extent(ONE) == Extent(0, 6)


QUESTIONS = [
    pytest.param(lambda reader: offsets_of(reader, ONE, after=3), [4], id="read"),
    pytest.param(lambda reader: offsets_of(reader, ONE, after=4), [], id="read at the end"),
    pytest.param(lambda reader: reader.extent(ONE), Extent(0, 5), id="extent"),
    pytest.param(lambda reader: reader.partitions(), [ZERO, ONE], id="partitions"),
]


@pytest.mark.parametrize("stale", STALE[2:] + STALE[:1])
@pytest.mark.parametrize(("question", "answer"), QUESTIONS)
async def test_a_stale_answer_is_none(
    monkeypatch: pytest.MonkeyPatch,
    question: Callable[[KafkaLogReader], Awaitable[Any]],
    answer: Any,
    stale: dict[TopicPartition, Shown],
) -> None:
    """Whatever is asked while a broker shows less than was seen is answered by what it shows later."""
    client = cluster(3, 5)
    reader = reader_of(monkeypatch, client)
    await reader.partitions()
    client.shows = dict(stale)
    client.then = lambda: client.asked.count("metadata") > 2 and client.shows.update(cluster(3, 5).shows)
    assert await question(reader) == answer


async def test_a_topic_made_since_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the partitions hears of a topic that others made since the last call, and follows ours alone."""
    client = cluster(3)
    client.shows[TopicPartition("somebody.else", 0)] = Shown(1)
    reader = reader_of(monkeypatch, client)
    assert list(await reader.partitions()) == [ZERO]
    client.shows |= {TopicPartition(BYOD, 0): Shown(1)}
    assert list(await reader.partitions()) == [Partition(BYOD, 0), ZERO]
    assert client.named == {BYOD, TOPIC}


async def test_a_reader_closed_while_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is closed before its connection is there refuses the call that waits for it, and ends it."""
    client, go_on, connecting = cluster(3), asyncio.Event(), asyncio.Event()
    reader = reader_of(monkeypatch)

    async def connected(_: KafkaConnection) -> StandInClient:
        connecting.set()
        await go_on.wait()
        return client

    monkeypatch.setattr(kafka_reader, "connected_client", connected)
    call = asyncio.create_task(reader.partitions())
    await connecting.wait()
    await reader.close()
    go_on.set()
    with pytest.raises(LogUnavailable, match="is closed"):
        await call
    assert client.ended


async def test_a_list_from_a_broker_that_lags_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a new connection, all topics are listed again until those that were seen are among them."""
    client, other = cluster(3), cluster()
    reader = reader_of(monkeypatch, client, other)
    await reader.partitions()
    await reader._disconnect(reader._client)
    other.then = lambda: other.asked.count("topics") > 1 and other.shows.update(client.shows)
    assert list(await reader.partitions()) == [ZERO]


async def test_another_log_is_believed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where brokers go on to show less, the call fails, and the next one takes it as it is."""
    monkeypatch.setattr(kafka_reader, "READ_SECONDS", 1.0)
    client, other = cluster(3, 5), cluster(2)
    reader = reader_of(monkeypatch, client, other)
    await reader.partitions()
    client.shows = dict(other.shows)
    with pytest.raises(LogUnavailable):
        await reader.partitions()
    assert list(await reader.partitions()) == [ZERO]


async def test_what_was_seen_outlives_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """After brokers that were silent for a while, one that shows less than was seen is asked again all the same."""
    monkeypatch.setattr(kafka_reader, "READ_SECONDS", 1.0)
    client, other = cluster(3, 5), cluster(3)
    reader = reader_of(monkeypatch, client, other)
    await reader.partitions()
    client.trouble = RequestTimedOutError()
    with pytest.raises(LogUnavailable):
        await reader.partitions()
    again(other, 3, 5)
    assert list(await reader.partitions()) == [ZERO, ONE]


async def test_a_new_leader_that_lags_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was acknowledged is read from a leader whose high watermark has not reached it, as soon as it has."""
    client = cluster(3)
    reader = reader_of(monkeypatch, client)
    assert await offsets_of(reader, ZERO) == [0, 1, 2]
    # Entries 3 and 4 were acknowledged by the leader before this one, which says so of the end and not in a fetch.
    client.shows[THERE[0]] = Shown(5, high_watermark=3, node=2)
    client.then = lambda: client.shows.update({THERE[0]: Shown(5, node=2)})
    assert await offsets_of(reader, ZERO, after=2) == [3, 4]


async def test_a_leader_that_does_not_know_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that cannot say yet how far its partition reaches is not taken for one that has nothing further."""
    client = cluster(3)
    reader = reader_of(monkeypatch, client)
    assert await offsets_of(reader, ZERO) == [0, 1, 2]
    client.shows[THERE[0]] = Shown(-1, high_watermark=3)
    client.reconnect()
    client.then = lambda: client.shows.update({THERE[0]: Shown(4)})
    assert await offsets_of(reader, ZERO, after=2) == [3]


async def test_an_offset_out_of_range_of_a_leader_that_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    """An offset that a new leader does not show yet is not behind the end, though nobody here saw the end before."""
    client = cluster(6)
    reader = reader_of(monkeypatch, client)
    client.shows[THERE[0]] = Shown(6, high_watermark=3)
    client.then = lambda: client.shows.update(cluster(6).shows)
    assert await offsets_of(reader, ZERO, after=4) == [5]
    assert await offsets_of(reader, ZERO, after=50) == []


async def test_an_end_is_confirmed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While leader and connection stay, a read that finds nothing is one request; after a new connection it is two."""
    client = cluster(3)
    reader = reader_of(monkeypatch, client)
    await offsets_of(reader, ZERO)
    client.asked.clear()
    await offsets_of(reader, ZERO, after=2)
    assert client.asked == ["fetch"]
    client.reconnect()
    await offsets_of(reader, ZERO, after=2)
    assert client.asked == ["fetch", "fetch", "offsets"]


async def test_the_next_connection_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose connection another call ended goes on with the newer one, and lets that be."""
    ended, newer = cluster(3), cluster(3)
    reader = reader_of(monkeypatch, ended, newer)
    await reader.extent(ZERO)
    ended.asked.clear()
    failing = asyncio.Event()

    async def fails(client: Any) -> str:
        if client is newer:
            return "answered"
        failing.set()
        raise KafkaConnectionError

    monkeypatch.setattr(kafka_reader, "BACKOFF_SECONDS", 0.001)
    call = asyncio.create_task(reader._ask(fails))
    await failing.wait()
    await reader._disconnect(reader._client)
    assert await call == "answered"
    assert (ended.ended, newer.ended) == (True, False)
    assert ended.asked.count("metadata") == 0, "a client that was ended answers nothing, and nobody says so"


async def test_a_late_failure_leaves_the_newer_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that fails after others have connected anew does not end their connection."""
    ended, newer = cluster(3), cluster(3)
    reader = reader_of(monkeypatch, ended, newer)

    async def fails(_: Any) -> None:
        await reader._disconnect(reader._client)
        await reader.extent(ZERO)
        raise LogUnavailable("this user may not read it")

    with pytest.raises(LogUnavailable):
        await reader._ask(fails)
    assert (ended.ended, newer.ended) == (True, False)
    assert id(reader._client) == id(newer)


@pytest.mark.parametrize("prefix", ["", "eu."])
async def test_schemas_are_read_whatever_ails_other_topics(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """The schemas of a log can be read while a partition of another topic has no leader, though not all are listed."""
    monkeypatch.setattr(kafka_reader, "READ_SECONDS", 1.0)
    client = StandInClient(
        {
            TopicPartition(prefix + SCHEMAS_TOPIC, 0): Shown(2),
            TopicPartition(prefix + SCHEMAS_TOPIC, 1): Shown(1),
            TopicPartition(prefix + TOPIC, 0): Shown(3, node=-1),
        }
    )
    reader = reader_of(monkeypatch, client, client, prefix=prefix)
    log = KafkaLog(KafkaConnection("nowhere.invalid:9092"), topic_prefix=prefix, reader=reader)
    both = [Partition(SCHEMAS_TOPIC, 0), Partition(SCHEMAS_TOPIC, 1)]
    assert list(await log.partitions_of(SCHEMAS_TOPIC)) == both
    assert await stored_schemas(log) == {}
    assert client.asked.count("fetch") == 2 * len(both), "not every partition is read to its end"
    with pytest.raises(LogUnavailable):
        await log.partitions()
