"""A Kafka cluster in memory, as far as a producer and a reader can tell: leaders, replication, producer state, faults.

Rules held here, which are Kafka's:

* a batch is appended by the partition's leader and acknowledged once it is replicated; readers see what is replicated;
* when the leader moves, what was not replicated by then is kept or lost, in whole batches, whoever waited for it;
* a batch is known by its producer and sequence number: again, it is the same batch; out of order, it is refused;
* a request that was sent lands whatever becomes of its sender. A broker that hangs answers what it got once it goes on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingest.report import Entry, Partition, StoredEntry
from load.simulation.world import World

HOP_SECONDS = 0.004
"""What it takes on average to get anything to a broker, or from one to the next."""


class Refused(Exception):
    """The broker refuses the batch for what it is; nothing is stored."""


class OutOfOrder(Exception):
    """The broker has not seen what comes before the batch."""


class TryAgain(Exception):
    """No leader, no connection, no answer: nobody knows, and the same request may be sent again."""


@dataclass(frozen=True, slots=True)
class Appended:
    """A batch in a partition's log."""

    producer: int
    sequence: int
    base: int
    count: int


@dataclass
class Replicas:
    """One partition: the leader's log, and how much of it is replicated."""

    entries: list[StoredEntry] = field(default_factory=list)
    batches: list[Appended] = field(default_factory=list)
    high_watermark: int = 0
    epoch: int = 0

    def append(self, producer: int, sequence: int, entries: Sequence[Entry]) -> Appended:
        """Take a batch into the leader's log, or find that it is there; raises `OutOfOrder`."""
        before = [batch for batch in self.batches if batch.producer == producer]
        for batch in before:
            if batch.sequence == sequence:
                return batch
        expected = before[-1].sequence + before[-1].count if before else 0
        if sequence != expected:
            raise OutOfOrder
        appended = Appended(producer, sequence, len(self.entries), len(entries))
        self.entries.extend(StoredEntry(offset, entry) for offset, entry in enumerate(entries, appended.base))
        self.batches.append(appended)
        return appended

    def lead_elsewhere(self, *, kept: int) -> None:
        """Another replica leads, which has `kept` batches of those that were not replicated everywhere."""
        replicated = [batch for batch in self.batches if batch.base < self.high_watermark]
        self.batches = self.batches[: len(replicated) + kept]
        self.high_watermark = sum(batch.count for batch in self.batches)
        del self.entries[self.high_watermark :]
        self.epoch += 1

    def unreplicated(self) -> int:
        """How many batches only the leader has for certain."""
        return sum(batch.base >= self.high_watermark for batch in self.batches)


@dataclass
class Cluster:
    """The brokers together, with `partitions` for each topic. What ails them is set from outside."""

    world: World
    partitions: int
    logs: dict[Partition, Replicas] = field(default_factory=dict)
    down: bool = False
    refusing: bool = False
    hung_until: float = 0.0
    seconds: float = HOP_SECONDS
    acks_lost: float = 0.0
    known_producers: int = 0
    forgot: bool = False
    stale: dict[Partition, int] = field(default_factory=dict)

    def new_producer(self) -> int:
        """An id for a producer; no other has or had it."""
        self.known_producers += 1
        return self.known_producers

    def produce(
        self, partition: Partition, producer: int, sequence: int, entries: Sequence[Entry]
    ) -> "asyncio.Task[int]":
        """Send a batch; the offset of its first record, or `Refused`, `OutOfOrder`, `TryAgain`.

        It goes on without its sender.
        """
        return self.world.beside(self._handle(partition, producer, sequence, entries))

    async def wait_for_leader(self) -> None:
        """Return once the cluster answers; raises `TryAgain` at once where it is down."""
        await asyncio.sleep(self.world.short(self.seconds))
        if self.down:
            raise TryAgain
        if (hung := self.hung_until - self.world.loop.time()) > 0:
            await asyncio.sleep(hung)

    def visible(self, partition: Partition) -> int:
        """Up to where a reader sees the partition now: a broker that was cut off may answer as of then."""
        high_watermark = self.logs[partition].high_watermark if partition in self.logs else 0
        if partition in self.stale and self.world.likely(0.5):
            return min(self.stale[partition], high_watermark)
        return high_watermark

    def go_stale(self) -> None:
        """From now on readers sometimes meet a broker that knows nothing of what comes, until `stale` is cleared."""
        self.stale = {partition: replicas.high_watermark for partition, replicas in self.logs.items()}

    @property
    def ails(self) -> bool:
        """Whether the cluster is down or hangs."""
        return self.down or self.hung_until > self.world.loop.time()

    def leaders_move(self) -> None:
        """Every partition gets another leader."""
        for replicas in self.logs.values():
            replicas.lead_elsewhere(kept=self.world.chance.randint(0, replicas.unreplicated()))

    def forget_producers(self) -> None:
        """The brokers forget which sequence numbers they have seen: what is tried again may be appended again."""
        self.forgot = True
        for replicas in self.logs.values():
            replicas.batches = [replace(batch, producer=-batch.producer) for batch in replicas.batches]

    async def _handle(self, partition: Partition, producer: int, sequence: int, entries: Sequence[Entry]) -> int:
        await self.wait_for_leader()
        if self.refusing:
            raise Refused
        replicas = self.logs.setdefault(partition, Replicas())
        epoch = replicas.epoch
        appended = replicas.append(producer, sequence, entries)
        await asyncio.sleep(self.world.short(self.seconds))
        if replicas.epoch != epoch:
            raise TryAgain
        replicas.high_watermark = max(replicas.high_watermark, appended.base + appended.count)
        self.world.say("broker: has %d entries of producer %d", appended.count, producer)
        if self.world.likely(self.acks_lost):
            self.world.say("broker: an ack is lost")
            raise TryAgain
        return appended.base
