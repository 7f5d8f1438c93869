"""How gates and the follower reach the simulated cluster: in the places of aiokafka's producer and of its client.

`SimulatedProducer` holds what `ingest.log.kafka.producer.Producer` asks of one, and fails as aiokafka's does: it tries
for ever what may pass, and says that nothing was stored only where that is certain.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka.producer import Batch, ProducerBroken
from ingest.log.stored import stored_entry
from ingest.records import GATES_OWN
from ingest.report import Entry, Extent, Partition, StoredEntry
from ingest.topics.wanted import PROBE_TOPIC
from load.simulation.broker import Cluster, OutOfOrder, Refused, TryAgain

CONNECT_SECONDS = 8.0
REQUEST_SECONDS = 6.0
BACKOFF_SECONDS = 0.1
READ_SECONDS = 9.0
"""As the real clients have them, about."""

ONE_PARTITION = GATES_OWN | {PROBE_TOPIC}

BATCH_ENTRIES = 5
"""Few, so that appends are split."""


class SimulatedBatch:
    """As `ingest.log.kafka.producer.Batch`."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(
        self, *, timestamp: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> object | None:
        """As `Batch.append`; the topic is known when the batch is sent."""
        if len(self.entries) >= BATCH_ENTRIES:
            return None
        self.entries.append(stored_entry(0, ("", key, value, timestamp, tuple(headers))).entry)
        return self


class SimulatedProducer:
    """As `ingest.log.kafka.producer.Producer`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._id = 0
        self._sequences: dict[Partition, int] = {}
        self._under_way: set[asyncio.Future[int]] = set()
        self._stopped = False
        self._senders: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """As `Producer.start`."""
        await self._connect()
        self._id = self._cluster.new_producer()

    def partitions(self, topic: str) -> int | None:
        """As `Producer.partitions`; every topic is there, those of the gates with one partition."""
        return 1 if topic in ONE_PARTITION else self._cluster.partitions

    async def refresh(self) -> None:
        """As `Producer.refresh`."""
        await self._connect()

    async def settings(self, topics: Sequence[str], name: str) -> Mapping[str, str]:
        """As `Producer.settings`: nobody made these topics by hand."""
        del topics, name
        return {}

    def create_batch(self) -> Batch:
        """As `Producer.create_batch`."""
        return SimulatedBatch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[int]":
        """As `Producer.send_batch`."""
        if self._stopped:
            raise ProducerBroken("the producer was stopped")
        entries = [replace(one, topic=topic) for one in cast("SimulatedBatch", batch).entries]
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._under_way.add(answer)
        answer.add_done_callback(self._under_way.discard)
        self._senders.append(asyncio.create_task(self._send(Partition(topic, partition), entries, answer)))
        return answer

    async def stop(self, *, patience: float) -> None:
        """As `Producer.stop`."""
        self._stopped = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=patience)
        for answer in tuple(self._under_way):
            if not answer.done():
                answer.set_exception(InDoubt("the producer was stopped"))
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    def request(self, partition: Partition, sequence: int, entries: Sequence[Entry]) -> "asyncio.Task[int]":
        """One try to have a batch appended: the brokers know it by the producer's id and `sequence`."""
        return self._cluster.produce(partition, self._id, sequence, entries)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._cluster.wait_for_leader()
        except (TryAgain, TimeoutError):
            raise LogUnavailable("the cluster cannot be reached") from None

    async def _send(self, partition: Partition, entries: Sequence[Entry], answer: "asyncio.Future[int]") -> None:
        """Try until something is known, which may be never."""
        sequence = self._sequences.get(partition, 0)
        self._sequences[partition] = sequence + len(entries)
        attempt = 0
        while not answer.done():
            attempt += 1
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    base = await asyncio.shield(self.request(partition, sequence, entries))
            except (TryAgain, TimeoutError):
                await asyncio.sleep(BACKOFF_SECONDS)
            except Refused:
                if attempt == 1:
                    self._sequences[partition] = sequence
                _fail(answer, LogUnavailable("refused") if attempt == 1 else InDoubt("refused in the end"))
            except OutOfOrder:
                _fail(answer, InDoubt("OutOfOrderSequenceNumber"))
            else:
                if not answer.done():
                    answer.set_result(base)


class SimulatedReader:
    """A `LogReader` of what is replicated."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._closed = False

    async def partitions(self) -> Sequence[Partition]:
        """As `LogReader.partitions`."""
        await self._ask()
        return sorted(one for one in self._cluster.logs if one.topic != PROBE_TOPIC and self._cluster.visible(one))

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """As `LogReader.read`."""
        await self._ask()
        end = self._cluster.visible(partition)
        return self._cluster.logs[partition].entries[after + 1 : min(after + 1 + limit, end)] if end else []

    async def extent(self, partition: Partition) -> Extent:
        """As `LogReader.extent`."""
        await self._ask()
        return Extent(0, self._cluster.visible(partition))

    async def close(self) -> None:
        """As `LogReader.close`."""
        self._closed = True

    async def _ask(self) -> None:
        """One question to the cluster, which answers at once unless something ails it."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        if self._cluster.ails or self._cluster.world.likely(0.1):
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await self._cluster.wait_for_leader()
            except (TryAgain, TimeoutError):
                raise LogUnavailable("no leader answers") from None


def _fail(answer: "asyncio.Future[int]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
