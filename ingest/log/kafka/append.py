"""Many concurrent appends, each to the partitions of its entries, and back to one answer.

    append --by partition--> Part --> PartitionWriter --> positions

Rules held here:

* past its deadline an append is refused if nothing of it was handed over, and in doubt if anything was;
* a caller that was cancelled takes nobody with it: not handed over, its entries are left out; handed over, they are
  stored;
* all that is held, waiting or handed over, is bounded; beyond it an append is refused at once;
* a topic has as many partitions as it had when it was first written to here, so that a key stays where it is; unless it
  was given more, which is seen after `GROWTH_SECONDS`, or somebody asks by `require`, after which it has those it has.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from ingest.log import LogUnavailable
from ingest.log.group_commit import AppendLimits
from ingest.log.kafka.client import APPLY
from ingest.log.kafka.partition import Call, Load, Part, PartitionWriter, Piece
from ingest.log.kafka.producer import MAX_BATCH_BYTES, Producer
from ingest.log.kafka.producers import Producers
from ingest.log.partitioning import partition_number
from ingest.report import Entry, Partition, Position

Queued = tuple[PartitionWriter, Part]

GROWTH_SECONDS = 30.0
"""How often it is looked whether topics have more partitions. A producer's metadata are as old as that."""

TIMESTAMP_TYPE, OURS = "message.timestamp.type", "CreateTime"
LARGEST_BATCH = "max.message.bytes"

REQUIRE_SECONDS = 9.0
"""Longer than a connection takes to fail, so that the reason can be told."""

PUT_RIGHT = "see `tidegate topics plan`, and put it right with `tidegate topics apply`"

NAMED = 3
"""How many topics are named; as a rule it is all of them, or one."""


class Appender:
    """Appends to the topics whose names begin with `topic_prefix`; of the event loop that first calls `append`."""

    def __init__(self, producers: Producers, *, topic_prefix: str, limits: AppendLimits) -> None:
        self._producers = producers
        self._prefix = topic_prefix
        self._seconds = limits.seconds
        self._load = Load(limits)
        self._counts: dict[str, int] = {}
        self._look_again = 0.0
        self._writers: dict[Partition, PartitionWriter] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._unanswered: set[asyncio.Future[Sequence[Position]]] = set()

    def topics(self) -> Collection[str]:
        """Those that entries were written to."""
        return {partition.topic for partition in self._writers}

    def writers(self) -> Mapping[Partition, PartitionWriter]:
        """Who wrote to each partition."""
        return self._writers

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        """The positions, once all entries are stored; raises `LogUnavailable` or `InDoubt`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        self._load.take(entries)
        call = Call(entries, loop.create_future())
        parts: Sequence[Queued] | None = None
        timer = loop.call_at(deadline, call.expire)
        self._unanswered.add(call.answer)
        try:
            if not self._counts.keys() >= (topics := {entry.topic for entry in entries}):
                await self._learn(topics, deadline)
            self._grow(loop.time())
            parts = self._queue(call)
            return await call.answer
        finally:
            timer.cancel()
            call.answer.cancel()
            self._unanswered.discard(call.answer)
            self._let_go(call, parts)

    async def require(self, topics: Collection[str]) -> None:
        """Raises `LogUnavailable`, with names, unless all `topics` can be written to, and take our times and batches.

        Times of the brokers would stand in place of the gate's, which for some tiers are hours; a topic that takes less
        than a batch would refuse what it takes in parts. They have as many partitions from then on as they have now.
        """
        names = [self._prefix + topic for topic in topics]
        async with _in_time(asyncio.get_running_loop().time() + REQUIRE_SECONDS):
            producer = await self._producers.running()
            await producer.refresh()
            self._counts |= self._partitions(producer, topics)
            times = await producer.settings(names, TIMESTAMP_TYPE)
            sizes = await producer.settings(names, LARGEST_BATCH)
        if others := sorted(topic for topic, said in times.items() if said != OURS):
            raise LogUnavailable(_other_times(others))
        if small := sorted(topic for topic, said in sizes.items() if int(said) < MAX_BATCH_BYTES):
            raise LogUnavailable(_small_batches(small))

    async def close(self) -> None:
        """Return once every append is answered, and write no more; nobody may append meanwhile."""
        if self._unanswered:
            await asyncio.wait(self._unanswered)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _learn(self, topics: Collection[str], deadline: float) -> None:
        async with _in_time(deadline):
            producer = await self._producers.running()
            if any(producer.partitions(self._prefix + topic) is None for topic in topics):
                await producer.refresh()
        self._counts = self._partitions(producer, topics) | self._counts

    def _partitions(self, producer: Producer, topics: Collection[str]) -> dict[str, int]:
        """How many each of `topics` has, by what `producer` knows; raises `LogUnavailable` where one is missing."""
        counts = {topic: producer.partitions(self._prefix + topic) for topic in topics}
        if missing := sorted(self._prefix + topic for topic, count in counts.items() if count is None):
            raise LogUnavailable(_missing(missing))
        return {topic: count for topic, count in counts.items() if count is not None}

    def _grow(self, now: float) -> None:
        """Take on, now and then, what partitions topics were given; fewer are what a broker shows that lags."""
        producer = self._producers.current
        if now < self._look_again or producer is None:
            return
        self._look_again = now + GROWTH_SECONDS
        for topic, count in self._counts.items():
            self._counts[topic] = max(count, producer.partitions(self._prefix + topic) or 0)

    def _queue(self, call: Call) -> Sequence[Queued]:
        """Let each part of `call` wait at its partition."""
        indexes: dict[Partition, list[int]] = {}
        for index, entry in enumerate(call.entries):
            number = partition_number(entry.key, self._counts[entry.topic])
            indexes.setdefault(Partition(entry.topic, number), []).append(index)
        queued = [(self._writer(partition), Part(call, found)) for partition, found in indexes.items()]
        for writer, part in queued:
            writer.add(part)
        return queued

    def _let_go(self, call: Call, parts: Sequence[Queued] | None) -> None:
        """What was not handed over is held no more."""
        if parts is None:
            self._load.release(Piece(call, range(len(call.entries))))
            return
        for writer, part in parts:
            writer.withdraw(part)

    def _writer(self, partition: Partition) -> PartitionWriter:
        writer = self._writers.get(partition)
        if writer is None:
            topic = self._prefix + partition.topic
            writer = PartitionWriter(partition, topic=topic, producers=self._producers, load=self._load)
            self._writers[partition] = writer
            self._tasks.append(asyncio.create_task(writer.run()))
        return writer


@asynccontextmanager
async def _in_time(deadline: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise LogUnavailable("no broker said in time which topics there are") from None


def _missing(topics: Sequence[str]) -> str:
    is_or_are = "are" if len(topics) > 1 else "is"
    return f"{_which(topics)} {is_or_are} not there, or this user may not write: {APPLY}"


def _other_times(topics: Sequence[str]) -> str:
    return (
        f"{_which(topics)} {_has(topics)} another {TIMESTAMP_TYPE} than {OURS}, so brokers would write their own times"
        f" over ours: {PUT_RIGHT}"
    )


def _small_batches(topics: Sequence[str]) -> str:
    return (
        f"{_which(topics)} {_has(topics)} a {LARGEST_BATCH} below {MAX_BATCH_BYTES}, so brokers would refuse batches"
        f" whose entries they take: {PUT_RIGHT}"
    )


def _has(topics: Sequence[str]) -> str:
    return "have" if len(topics) > 1 else "has"


def _which(topics: Sequence[str]) -> str:
    more = f" and {len(topics) - NAMED} more" if len(topics) > NAMED else ""
    return f"topics {', '.join(topics[:NAMED])}{more}" if len(topics) > 1 else f"topic {topics[0]}"
