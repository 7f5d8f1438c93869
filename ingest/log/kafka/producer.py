"""Batches to a Kafka cluster and what became of them: the one place where aiokafka's producer is touched.

Rules held here:

* the producer is idempotent with acks=all: what it says is stored is stored once, on every replica in sync;
* what it refuses is refused for certain only for a few reasons, and only on the first attempt: a batch that was sent
  before may have been stored then, whatever is said of it now. Everything else is in doubt;
* a batch that failed leaves a hole in the sequence numbers of its producer, and brokers refuse all that follows
  (aiokafka issue 1017). Of one that was refused for certain the numbers are taken back, as Kafka's own client does, and
  the producer goes on. Whoever sees a batch end in doubt must go on with another producer;
* `stop` ends a producer however it stands: aiokafka's own waits for every batch, and idempotent ones never expire.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka.client import (
    APPLY,
    CLIENT_ID,
    CONNECT_SECONDS,
    END_SECONDS,
    TIMES,
    bootstrap,
    connection_arguments,
    end_client,
    learn_topics,
    why_not_connected,
)
from ingest.log.kafka.connection import KafkaConnection
from ingest.topics.admin import KafkaAdmin, KafkaAdminError

MAX_BATCH_BYTES = 1_000_000
"""Of a batch as it is sent. Brokers take 1,048,588 unless told otherwise (`message.max.bytes`)."""

SENDER_SECONDS = 10.0
"""How long the sender of a stopped producer may take to end: a connection that it is making takes a request's time."""

NOTHING_STORED: dict[type[BaseException], str] = {
    TopicAuthorizationFailedError: "this user may not write to it",
    MessageSizeTooLargeError: "an entry is larger than it takes",
    RecordListTooLargeError: "a batch is larger than it takes",
    InvalidTimestampError: "a timestamp is further from the broker's clock than it takes",
    InvalidTopicError: "its name is not allowed",
    # These two come from aiokafka itself, for a batch that found no leader in time; a broker's are tried again.
    LeaderNotAvailableError: "none of its replicas leads",
    NotLeaderForPartitionError: "none of its replicas leads",
}
"""Why a broker refuses a batch as a whole before anything of it is written, and what is said of the topic."""


FOR_WHAT_IS_IN_IT = frozenset({MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError})
"""Those of them for which a part of the same batch may be taken."""

LOOK_SECONDS = 1.0
"""How often it is looked at most whether a partition that is not known is there after all."""


class EntriesRefused(LogUnavailable):
    """The batch was refused for what is in it: a part of it may be taken."""


class ProducerBroken(LogUnavailable):
    """The producer takes nothing more, of no partition."""


class Batch(Protocol):
    """Records for one partition, sent together."""

    def append(
        self, *, timestamp: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> object | None:
        """None, and the record is left out, when the batch is full; it takes one record of any size."""
        ...


class Producer(Protocol):
    """One idempotent producer. Topics are named as the cluster names them; used from one event loop."""

    async def start(self) -> None:
        """Connects, and learns which topics there are; raises `LogUnavailable`."""
        ...

    def partitions(self, topic: str) -> int | None:
        """How many partitions `topic` has; None where it is not known."""
        ...

    async def refresh(self) -> None:
        """Asks again which topics there are; raises `LogUnavailable`."""
        ...

    async def settings(self, topics: Sequence[str], name: str) -> Mapping[str, str]:
        """What the setting `name` is of each of `topics`; raises `LogUnavailable`."""
        ...

    def create_batch(self) -> Batch:
        """An empty batch."""
        ...

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[int]":
        """Takes the batch over at once. The future has the offset of its first record, or `LogUnavailable`, `InDoubt`.

        `EntriesRefused` where it was refused for what is in it. After `InDoubt` another producer is needed. Raises
        `LogUnavailable`, `ProducerBroken` where another producer is needed, and has not taken it. A partition may have
        one batch under way at a time.
        """
        ...

    async def stop(self, *, patience: float) -> None:
        """Ends it once nothing is under way, or after `patience` seconds; what is under way then stays in doubt."""
        ...


class AiokafkaProducer:
    """`Producer` by aiokafka."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None
        self._under_way: set[asyncio.Future[int]] = set()
        self._look_again = 0.0

    async def start(self) -> None:
        """As `Producer.start`."""
        self._producer = AIOKafkaProducer(
            client_id=CLIENT_ID,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            **connection_arguments(self._connection),
            **TIMES,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                # As `AIOKafkaProducer.start`, but for what that leaves open when it is cancelled.
                await bootstrap(self._producer.client, self._connection)
                await self._producer._sender.start()  # noqa: SLF001
                await learn_topics(self._producer.client)
        except ClusterAuthorizationFailedError:
            await self._end(seconds=END_SECONDS)
            raise LogUnavailable("this user may write to no topic of the cluster: see `tidegate topics acls`") from None
        except (KafkaError, OSError, TimeoutError):
            await self._end(seconds=END_SECONDS)
            raise LogUnavailable(await why_not_connected(self._connection)) from None
        except BaseException:  # cancelled, as a rule; it goes on, and nobody else would close it
            await self._end(seconds=END_SECONDS)
            raise

    def partitions(self, topic: str) -> int | None:
        """As `Producer.partitions`."""
        found = self._started.client.cluster.partitions_for_topic(topic)
        return len(found) if found else None

    async def refresh(self) -> None:
        """As `Producer.refresh`."""
        await learn_topics(self._started.client)

    async def settings(self, topics: Sequence[str], name: str) -> Mapping[str, str]:
        """As `Producer.settings`."""
        try:
            found = await KafkaAdmin(self._started.client).configs(topics, [name])
        except KafkaAdminError as error:
            raise LogUnavailable(str(error)) from None
        return {topic: settings[name] for topic, settings in found.items()}

    def create_batch(self) -> Batch:
        """As `Producer.create_batch`."""
        batch: Batch = self._started.create_batch()
        return batch

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[int]":
        """As `Producer.send_batch`."""
        # For an unknown topic aiokafka would ask by name, and the broker might make it. From here to the hand-over
        # nothing is awaited that waits, so what is known now is known there.
        there = TopicPartition(topic, partition)
        if self._started.client.cluster.leader_for_partition(there) is None:
            self._look()
            raise LogUnavailable(f"topic {topic} has no partition {partition}: {APPLY}")
        try:
            sent = await self._started.send_batch(batch, topic, partition=partition)
        except KafkaError as error:
            raise ProducerBroken(f"the producer takes nothing more: {type(error).__name__}") from None
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        handed_over = self._handed_over(there)
        self._under_way.add(answer)
        answer.add_done_callback(self._under_way.discard)
        numbers = self._started._txn_manager  # noqa: SLF001  # it has no other way to them
        sent.add_done_callback(lambda ended: _answer(answer, ended, handed_over, numbers))
        return answer

    async def stop(self, *, patience: float) -> None:
        """As `Producer.stop`."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=patience)
        for answer in tuple(self._under_way):
            if not answer.done():  # else it was confirmed in the same moment
                answer.set_exception(InDoubt("the producer was stopped"))
        await self._end(seconds=SENDER_SECONDS)

    def _look(self) -> None:
        """Has aiokafka ask for topics soon: a broker that lags may have been asked, before a topic was made or grew."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_again:
            self._look_again = now + LOOK_SECONDS
            self._started.client.force_metadata_update()

    @property
    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("a producer must be started first")
        return self._producer

    def _handed_over(self, there: TopicPartition) -> MessageBatch:
        """What aiokafka keeps of the batch that it was just given, and tells nobody: it counts the attempts."""
        batch: MessageBatch = self._started._message_accumulator._batches[there][-1]  # noqa: SLF001
        return batch

    async def _end(self, *, seconds: float) -> None:
        """As `AIOKafkaProducer.stop`, without waiting for batches that nobody waits for any more."""
        producer = self._started
        producer._closed = True  # noqa: SLF001  # else it complains that nobody stopped it
        sender = producer._sender.sender_task  # noqa: SLF001
        if sender is not None:
            # It goes on until the requests that are under way have ended, which closing their connections makes them.
            sender.cancel()
            await end_client(producer.client)
            await asyncio.wait({sender}, timeout=seconds)
        await end_client(producer.client)


def _answer(
    answer: "asyncio.Future[int]", ended: "asyncio.Future[Any]", batch: MessageBatch, numbers: TransactionManager
) -> None:
    """Says in our words how the batch ended."""
    error = ended.exception()
    if error is not None and _nothing_stored(error, batch):
        # Also where nobody waits for it any more: the producer goes on without a hole.
        numbers.increment_sequence_number(batch.tp, -batch.record_count)
    if answer.done():
        return
    if error is not None:
        answer.set_exception(_failure(error, batch))
    elif ended.result().offset < 0:
        # A duplicate that the broker knows no offset of any more: stored, and nobody can say where.
        answer.set_exception(InDoubt("the log does not say where the entries are"))
    else:
        answer.set_result(ended.result().offset)


def _nothing_stored(error: BaseException, batch: MessageBatch) -> bool:
    return type(error) in NOTHING_STORED and batch.retry_count == 1


def _failure(error: BaseException, batch: MessageBatch) -> LogUnavailable | InDoubt:
    """What the failure of a batch means; of the error nothing is repeated but its type."""
    failure: LogUnavailable | InDoubt = InDoubt(f"the log did not confirm: {type(error).__name__}")
    if _nothing_stored(error, batch):
        refused = EntriesRefused if type(error) in FOR_WHAT_IS_IN_IT else LogUnavailable
        failure = refused(f"topic {batch.tp.topic} refused the entries: {NOTHING_STORED[type(error)]}")
    failure.__cause__ = error
    return failure
