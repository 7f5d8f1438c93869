"""Reading a Kafka cluster's log: any partition from any offset, one fetch after the other.

Not with aiokafka's consumer, which is made for one that is told what comes: it keeps a request waiting at each broker,
and a broker answers one request of a connection after the other, so that whoever asks how far a partition reaches waits
as long. Here a request asks for what there is *now*. That also makes `read` what the interface says without a second
question: what was acknowledged before the call is in the answer.

Except from a leader that has just begun. It may know less than was acknowledged, and a fetch does not say so; asked
how far the partition reaches, it refuses until it knows. So "nothing further" is asked for once more wherever the
leader, or the connection to it, is another one than before.

Which topics there are is asked of all of them, for names cannot be asked for by how they begin, and each time anew: a
topic that was made since may hold what was acknowledged before the call. Everything else is asked about ours alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, OffsetOutOfRangeError, UnknownTopicOrPartitionError

from ingest.log import LogDamaged, LogUnavailable
from ingest.log.kafka.client import (
    BACKOFF_SECONDS,
    all_topics,
    connected_client,
    connection_to,
    end_client,
    learn_topics,
)
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.records import Fetched, fetched
from ingest.log.kafka.requests import Edge, exists, fetch, leader, offsets
from ingest.log.partition_stats import PartitionStats, counted
from ingest.report import Extent, Partition, StoredEntry
from ingest.topics.wanted import OURS, PROBE_TOPIC

T = TypeVar("T")
Ask = Callable[[AIOKafkaClient], Awaitable[T]]

READ_SECONDS = 9.0
"""How long a question is asked again and again while leaders move."""

PARTITIONS_AHEAD = 64
"""Of how many partitions what was fetched beyond a read's limit is kept for the next one: 1 MiB each."""


class ShowsLessError(LeaderNotAvailableError):
    """A broker shows less of the log than was seen already: it may believe what is over, so it passes as a rule."""


class Ahead(NamedTuple):
    """Entries that follow offset `after`, fetched and not read yet, up to before offset `next`."""

    after: int
    entries: Sequence[StoredEntry]
    next: int


class KafkaLogReader:
    """A `LogReader` of the topics whose names begin with `topic_prefix`, which entries do not show.

    Nothing is connected before the first call. A topic that is not there holds nothing, as one that nobody wrote to.
    `written` gives topics of which it is known that they are there.
    """

    def __init__(
        self, connection: KafkaConnection, *, topic_prefix: str = "", written: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._connection = connection
        self._prefix = topic_prefix
        self._written = written
        self._client: AIOKafkaClient | None = None
        self._connecting = asyncio.Lock()
        self._ahead: dict[Partition, Ahead] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._confirmed: dict[TopicPartition, Any] = {}
        self._closed = False

    async def partitions(self) -> Sequence[Partition]:
        """As `LogReader.partitions`; of topics that this user may not describe nobody hears."""
        return await self._ask(self._listed_partitions)

    async def partitions_of(self, topic: str) -> Sequence[Partition]:
        """As `partitions`, of one topic: what ails others is no matter."""
        there = self._prefix + topic

        async def ask(client: AIOKafkaClient) -> Sequence[Partition]:
            client.add_topic(there)
            return await self._partitions(client, there.__eq__)

        return await self._ask(ask)

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """As `LogReader.read`; from where the partition begins, if that is later."""
        return await self._ask(lambda client: self._read(client, partition, after, limit))

    async def extent(self, partition: Partition) -> Extent:
        """As `LogReader.extent`."""
        return await self._ask(lambda client: self._extent(client, partition))

    async def stats(self) -> Sequence[PartitionStats]:
        """What each partition that is not empty holds now, sorted; reads every entry, so it takes a while."""
        found = [await counted(self, partition) for partition in await self.partitions()]
        return [one for one in found if one is not None]

    async def before_newest(self, partition: Partition, *, entries: int) -> int:
        """The offset after which `partition` holds its newest `entries` entries; -1 if it has no more than that.

        Fewer than that where offsets hold no entry: markers of transactions, and what compaction took away.
        """
        first, end = await self.extent(partition)
        return end - entries - 1 if end - first > entries else -1

    async def close(self) -> None:
        """As `LogReader.close`."""
        self._closed = True
        await self._disconnect(self._client)

    async def _ask(self, question: Ask[T]) -> T:
        """The answer to `question`, asked again while what fails may pass; raises `LogUnavailable`."""
        client: AIOKafkaClient | None = None
        trouble: KafkaError | None = None
        try:
            async with asyncio.timeout(READ_SECONDS):
                while True:
                    # Anew each time: another call may have disconnected the one before.
                    client = await self._connected()
                    try:
                        if trouble is not None:
                            await learn_topics(client)
                        return await question(client)
                    except KafkaError as error:
                        if not error.retriable:
                            raise LogUnavailable(f"the log cannot be read: {type(error).__name__}") from None
                        trouble = error
                    self._confirmed.clear()
                    await asyncio.sleep(BACKOFF_SECONDS)
        except TimeoutError:
            if isinstance(trouble, ShowsLessError):
                # It did not pass: the log is another one now, and the next call knows nothing of this one.
                self._ends.clear()
            await self._disconnect(client)
            raise LogUnavailable("the log cannot be read: no leader of the partition answers") from None
        except LogUnavailable:
            # The next call connects anew, to the first brokers that answer.
            await self._disconnect(client)
            raise

    async def _connected(self) -> AIOKafkaClient:
        async with self._connecting:
            client = self._client
            if client is None and not self._closed:
                client = self._client = await connected_client(self._connection)
            if client is None or self._closed:
                await self._disconnect(client)  # it was closed meanwhile, and nobody else would
                raise LogUnavailable("the log is closed")
            return client

    async def _disconnect(self, client: AIOKafkaClient | None) -> None:
        """End `client`; one that others have connected since stays."""
        if client is None:
            return
        if client is self._client:
            self._client = None
            self._ahead.clear()
            self._confirmed.clear()
        await end_client(client)

    async def _listed_partitions(self, client: AIOKafkaClient) -> Sequence[Partition]:
        known = {self._prefix + topic for topic in self._written()} | await all_topics(client)
        for topic in filter(self._is_listed, known):
            client.add_topic(topic)
        return await self._partitions(client, self._is_listed)

    async def _partitions(self, client: AIOKafkaClient, chosen: Callable[[str], bool]) -> Sequence[Partition]:
        """Those of the topics that are chosen by their name in the cluster."""
        seen = {one: end for one, end in self._ends.items() if end > 0 and chosen(one.topic)}
        await learn_topics(client)
        found = {
            TopicPartition(topic, number)
            for topic in filter(chosen, client.cluster.topics())
            for number in client.cluster.partitions_for_topic(topic) or ()
        }
        if not found >= seen.keys():
            raise ShowsLessError
        ends = await offsets(client, found, Edge.LATEST)
        for one, end in ends.items():
            self._expect_no_less(one, end, seen=seen.get(one, 0))
        return sorted(Partition(one.topic.removeprefix(self._prefix), one.partition) for one in ends if ends[one] > 0)

    def _is_listed(self, topic: str) -> bool:
        return topic.startswith(self._prefix + OURS) and topic != self._prefix + PROBE_TOPIC

    async def _extent(self, client: AIOKafkaClient, partition: Partition) -> Extent:
        there = self._there(partition)
        if not await self._exists(client, there):
            return Extent(0, 0)
        first = (await offsets(client, [there], Edge.EARLIEST))[there]
        return Extent(first, await self._end(client, there))

    async def _end(self, client: AIOKafkaClient, there: TopicPartition) -> int:
        seen = self._ends.get(there, 0)
        end = (await offsets(client, [there], Edge.LATEST))[there]
        self._expect_no_less(there, end, seen=seen)
        return end

    async def _read(
        self, client: AIOKafkaClient, partition: Partition, after: int, limit: int
    ) -> Sequence[StoredEntry]:
        found, following = self._taken_ahead(partition, after)
        while len(found) < limit:
            try:
                part = await self._fetch(client, partition, begin=following)
            except LogDamaged:
                if found:
                    break  # the next read begins there, and says so
                raise
            found += part.entries
            following = part.next
            if following >= part.end and not await self._goes_on(client, partition, following):
                break
        if len(found) > limit > 0:
            self._keep_ahead(partition, Ahead(found[limit - 1].offset, found[limit:], following))
        return found[: max(limit, 0)]

    async def _goes_on(self, client: AIOKafkaClient, partition: Partition, following: int) -> bool:
        """Whether there is more after all: asked where the leader may know less than was acknowledged."""
        there = self._there(partition)
        if client.cluster.leader_for_partition(there) is None:
            return False  # it was asked whether it exists
        if self._confirmed.get(there) is connection_to(client, leader(client, there)):
            return False
        end = await self._end(client, there)
        self._confirmed[there] = connection_to(client, leader(client, there))
        return end > following

    def _taken_ahead(self, partition: Partition, after: int) -> tuple[list[StoredEntry], int]:
        """What was fetched already of what follows `after`, and the offset to go on from."""
        ahead = self._ahead.pop(partition, None)
        if ahead is None or ahead.after != after:
            return [], max(after + 1, 0)
        return list(ahead.entries), ahead.next

    def _keep_ahead(self, partition: Partition, ahead: Ahead) -> None:
        if len(self._ahead) >= PARTITIONS_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        self._ahead[partition] = ahead

    async def _fetch(self, client: AIOKafkaClient, partition: Partition, *, begin: int) -> Fetched:
        there = self._there(partition)
        if not await self._exists(client, there):
            return Fetched([], begin, begin)
        seen = self._ends.get(there, 0)
        try:
            records, end = await fetch(client, there, begin=begin)
        except OffsetOutOfRangeError:
            return await self._beyond(client, there, begin)
        self._expect_no_less(there, end, seen=seen)
        part = fetched(partition.topic, records, begin=begin, end=end)
        if part.next == begin < end:
            raise LeaderNotAvailableError  # it has entries and shows none, which a leader does that has just begun
        return part

    async def _beyond(self, client: AIOKafkaClient, there: TopicPartition, begin: int) -> Fetched:
        """What there is at an offset that the leader does not have."""
        first = (await offsets(client, [there], Edge.EARLIEST))[there]
        if begin < first:
            return Fetched([], first, first + 1)  # what is left begins later
        if begin <= await self._end(client, there):
            raise ShowsLessError  # it knew less a moment ago
        return Fetched([], begin, begin)

    def _expect_no_less(self, there: TopicPartition, end: int, *, seen: int) -> None:
        """A broker that hung while it led, and wakes up, believes for a moment that it leads: it is asked again.

        If it goes on, the log is another one: the read fails, and the next one knows nothing of what was seen before.
        `seen` is what was known when the question was asked, for answers overtake each other.
        """
        if end < seen:
            raise ShowsLessError
        self._ends[there] = max(end, self._ends.get(there, 0))

    async def _exists(self, client: AIOKafkaClient, there: TopicPartition) -> bool:
        """Whether the cluster has the partition; raises an error that passes while the client does not know it yet."""
        if client.cluster.leader_for_partition(there) is not None:
            return True
        if not await exists(client, there):
            if self._ends.get(there, 0) > 0:
                raise ShowsLessError
            return False
        client.add_topic(there.topic)
        await learn_topics(client)
        if client.cluster.leader_for_partition(there) is None:
            raise UnknownTopicOrPartitionError
        return True

    def _there(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._prefix + partition.topic, partition.number)
