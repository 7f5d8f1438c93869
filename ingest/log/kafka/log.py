"""The log in a Kafka cluster: acknowledged is what every replica in sync has.

    KafkaLog.append -> append (a queue for each partition) -> producer (aiokafka) -> the brokers
    KafkaLogReader  -> reader -> requests -> the brokers

What a 202 means here, and what is not covered, says docs/kafka.md; docs/adr/0014-kafka-log-has-its-own-queue.md says
why it is built this way. Topics are never made here: `tidegate topics apply` does that.
"""

from collections.abc import Callable, Collection, Sequence

from ingest.clock import Clock, SystemClock
from ingest.log import InDoubt, LogReader, LogUnavailable
from ingest.log.group_commit import AppendLimits
from ingest.log.kafka.append import Appender
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.partition import PartitionWriter
from ingest.log.kafka.producer import AiokafkaProducer, Producer
from ingest.log.kafka.producers import Producers
from ingest.log.kafka.reader import KafkaLogReader
from ingest.records import probe_entry
from ingest.report import Entry, Extent, Partition, Position, StoredEntry
from ingest.schema_topic import partitions_of
from ingest.topics.wanted import PROBE_TOPIC

__all__ = ["AppendLimits", "KafkaConnection", "KafkaLog", "KafkaLogReader"]

CLOSE_SECONDS = 0.5
"""How long connections may take to end once every append is answered."""


class KafkaLog:
    """The `Log` of the topics whose names begin with `topic_prefix`; of one event loop, and connected when first used.

    `new_producer` makes what sends batches, and `reader`, which it closes, is what is read: for want of a cluster.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        topic_prefix: str = "",
        limits: AppendLimits | None = None,
        clock: Clock | None = None,
        new_producer: Callable[[], Producer] | None = None,
        reader: LogReader | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._producers = Producers(new_producer or (lambda: AiokafkaProducer(connection)))
        self._appender = Appender(self._producers, topic_prefix=topic_prefix, limits=limits or AppendLimits())
        self._reader = reader or KafkaLogReader(connection, topic_prefix=topic_prefix, written=self._appender.topics)
        self._closed = False

    @property
    def commits(self) -> int:
        """As `Log.commits`: how many batches; concurrent appends share one, and each partition has its own."""
        return sum(writer.commits for writer in self._counted())

    @property
    def entries(self) -> int:
        """As `Log.entries`."""
        return sum(writer.entries for writer in self._counted())

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        """As `Log.append`; stored as a whole is what goes to one partition, and a part of the rest is `InDoubt`."""
        self._refuse_when_closed()
        return await self._appender.append(entries) if entries else []

    async def require(self, topics: Collection[str]) -> None:
        """Raises `LogUnavailable`, with names, if any of `topics` is missing, or takes no times or batches of ours.

        Whatever number of partitions they have is taken on.
        """
        self._refuse_when_closed()
        await self._appender.require(topics)

    async def probe(self) -> None:
        """As `Log.probe`: a record in a topic of its own, which one broker leads; the others are not asked."""
        try:
            await self.append([probe_entry(PROBE_TOPIC, now=self._clock.now_ms())])
        except InDoubt:
            raise LogUnavailable("the log did not confirm a write") from None

    async def partitions(self) -> Sequence[Partition]:
        """As `LogReader.partitions`."""
        return await self._reader.partitions()

    async def partitions_of(self, topic: str) -> Sequence[Partition]:
        """As `FindsByTopic.partitions_of`."""
        return await partitions_of(self._reader, topic)

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """As `LogReader.read`."""
        return await self._reader.read(partition, after=after, limit=limit)

    async def extent(self, partition: Partition) -> Extent:
        """As `LogReader.extent`."""
        return await self._reader.extent(partition)

    async def close(self) -> None:
        """Refuse new appends, answer those that wait, and end every connection."""
        if self._closed:
            return
        self._closed = True
        await self._appender.close()
        await self._producers.close(seconds=CLOSE_SECONDS)
        await self._reader.close()

    def _counted(self) -> list[PartitionWriter]:
        return [writer for partition, writer in self._appender.writers().items() if partition.topic != PROBE_TOPIC]

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")
