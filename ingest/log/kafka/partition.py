"""One partition: what waits to be written to it, and its one batch under way.

    Part --what fits--> one batch at the producer --ack--> positions

Rules held here:

* a partition has one batch at the producer at a time. What arrives meanwhile waits here and shares the next: batches
  grow with the load, and what waits here can still be refused for certain or left out;
* what was handed over is at large until the log says what became of it. An append of which anything is at large is
  never called refused: Kafka stores a batch as a whole, and nothing larger;
* whoever was answered meanwhile, cancelled or late, is left out of the next batch;
* a batch that was refused for what is in it is sent again in halves, until each call that is refused was alone. Nothing
  of it is stored, so nobody else is refused for what one call holds.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from ingest.failpoint import reached
from ingest.log import InDoubt, LogUnavailable
from ingest.log.group_commit import AppendLimits
from ingest.log.kafka.producer import Batch, EntriesRefused, Producer, ProducerBroken
from ingest.log.kafka.producers import Backoff, Producers
from ingest.report import Entry, Partition, Position

Positions = Sequence[Position]
NOWHERE = Position(Partition("", 0), -1)

PATIENCE_SECONDS = 30.0
"""How long a batch may be under way before its producer is given up. Longer than a leader takes to move when its broker
hangs: 9 s until the cluster says so, and the requests that were waiting for it meanwhile."""

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 1.5
"""Between a batch that failed and the next one of the same partition: it grows while they go on failing, since each may
cost the other partitions their producer. It is shorter than any append waits, those to `tidegate.control` for 2 s: who
comes while a partition pauses is tried all the same."""

REFUSED_PAUSE_SECONDS = 0.1
"""The same where the batch was refused for certain, which costs the other partitions nothing."""


@dataclass(slots=True, eq=False)
class Call:
    """One append until it is answered. `at_large`: how many of its entries are stored or may be."""

    entries: Sequence[Entry]
    answer: asyncio.Future[Positions]
    positions: list[Position] = field(init=False)
    missing: int = field(init=False)
    at_large: int = 0

    def __post_init__(self) -> None:
        self.positions = [NOWHERE] * len(self.entries)
        self.missing = len(self.entries)

    def stored(self, indexes: Sequence[int], partition: Partition, *, base: int) -> None:
        """The entries with these indexes are durable, from offset `base` on."""
        for offset, index in enumerate(indexes, base):
            self.positions[index] = Position(partition, offset)
        self.missing -= len(indexes)
        if not self.missing and not self.answer.done():
            self.answer.set_result(self.positions)

    def fail(self, error: Exception) -> None:
        """Answer with `error`, unless entries are at large: nobody can say that they were refused."""
        if self.answer.done():
            return
        if self.at_large and isinstance(error, LogUnavailable):
            error = InDoubt("the log refused a part of the entries, and another may be stored")
        self.answer.set_exception(error)

    def expire(self) -> None:
        """The deadline has passed."""
        if self.at_large:
            self.fail(InDoubt("the log did not confirm in time"))
        else:
            self.fail(LogUnavailable("the log did not get to these entries in time"))


class Piece(NamedTuple):
    """What of a call is in one batch, by the indexes of its entries."""

    call: Call
    indexes: Sequence[int]

    def fitting(self, batch: Batch) -> "Piece":
        """Moves the first entries into `batch`, as many as it takes; some of them are in it if it raises."""
        for taken, index in enumerate(self.indexes):
            entry = self.call.entries[index]
            headers = list(entry.headers)
            if batch.append(timestamp=entry.timestamp, key=entry.key, value=entry.value, headers=headers) is None:
                return Piece(self.call, self.indexes[:taken])
        return self


@dataclass(slots=True, eq=False)
class Part:
    """What of a call goes to one partition; of `indexes`, the first `taken` went into a batch."""

    call: Call
    indexes: list[int]
    taken: int = 0
    queued: bool = False

    def rest(self) -> Piece:
        """What did not go into a batch."""
        return Piece(self.call, self.indexes[self.taken :])

    def move(self, batch: Batch) -> Piece:
        """As many of the next entries as `batch` takes; none of them are taken if it raises."""
        piece = self.rest().fitting(batch)
        self.taken += len(piece.indexes)
        return piece


class Load:
    """How much is held now, from the append until it is refused, or stored, or its producer is given up."""

    def __init__(self, limits: AppendLimits) -> None:
        self._limits = limits
        self._entries = 0
        self._bytes = 0

    def take(self, entries: Sequence[Entry]) -> None:
        """Raises `LogUnavailable` beyond the limits, unless nothing else is held."""
        count, size = len(entries), sum([len(entry.value) for entry in entries])
        if self._entries and (
            self._entries + count > self._limits.entries or self._bytes + size > self._limits.value_bytes
        ):
            raise LogUnavailable("too much waits to be written to the log: its brokers are slower than its callers")
        self._entries += count
        self._bytes += size

    def release(self, piece: Piece) -> None:
        """This is held no more."""
        self._entries -= len(piece.indexes)
        self._bytes -= sum([len(piece.call.entries[index].value) for index in piece.indexes])


class PartitionWriter:
    """Writes to one partition for as long as `run` does, one batch after the other; `topic` as the cluster names it."""

    def __init__(self, partition: Partition, *, topic: str, producers: Producers, load: Load) -> None:
        self.commits = 0
        self.entries = 0
        self._partition = partition
        self._topic = topic
        self._producers = producers
        self._load = load
        self._waiting: deque[Part] = deque()
        self._refused: deque[Sequence[Piece]] = deque()
        self._something_waits = asyncio.Event()
        self._pauses = Backoff(PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)

    def add(self, part: Part) -> None:
        """Let `part` wait for the next batch."""
        part.queued = True
        self._waiting.append(part)
        self._something_waits.set()

    def withdraw(self, part: Part) -> None:
        """Leave out what was not handed over, if there is anything left of it."""
        if part.queued:
            self._waiting.remove(part)
            self._drop(part)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._something_waits.wait()
            try:
                await self._write_next(await self._producers.running())
            except Exception as error:  # noqa: BLE001  # a fault of ours too is raised in the callers, and this goes on
                self._refuse_waiting(error)
            if not self._waiting and not self._refused:
                self._something_waits.clear()

    async def _write_next(self, producer: Producer) -> None:
        batch = producer.create_batch()
        pieces: list[Piece] = []
        try:
            if self._refused:
                self._move_again(batch, pieces)
            else:
                self._move_into(batch, pieces)
            if pieces:
                await self._write(producer, batch, pieces)
        except Exception as error:  # noqa: BLE001  # a fault of ours too is raised in the callers, and this goes on
            for call, _ in pieces:
                call.fail(error)
            await asyncio.sleep(self._pause(error))

    def _pause(self, error: Exception) -> float:
        """Seconds. Most of what fails would be worse a thousand times a second, for the other partitions too."""
        if isinstance(error, EntriesRefused):
            return 0  # of one call alone, whose neighbours need not wait
        return REFUSED_PAUSE_SECONDS if isinstance(error, LogUnavailable) else self._pauses.next()

    async def _write(self, producer: Producer, batch: Batch, pieces: Sequence[Piece]) -> None:
        ended = pieces
        try:
            base = await self._stored(producer, batch, pieces)
        except EntriesRefused:
            if len(pieces) == 1:
                raise
            ended, half = (), len(pieces) // 2
            self._refused.extendleft((pieces[half:], pieces[:half]))
            return
        finally:
            for piece in ended:
                self._load.release(piece)
        self.commits += 1
        self._pauses.reset()
        self._producers.stored(producer)
        for call, indexes in pieces:
            call.stored(indexes, self._partition, base=base)
            base += len(indexes)
            self.entries += len(indexes)

    async def _stored(self, producer: Producer, batch: Batch, pieces: Sequence[Piece]) -> int:
        """The offset of the first entry of the batch; raises `LogUnavailable` or `InDoubt`."""
        try:
            sent = await producer.send_batch(batch, self._topic, partition=self._partition.number)
        except ProducerBroken as error:
            self._producers.retire(producer, error)
            raise
        for call, indexes in pieces:
            call.at_large += len(indexes)
        reached("gate.appended")
        try:
            return await _confirmed(sent)
        except LogUnavailable:
            for call, indexes in pieces:
                call.at_large -= len(indexes)
            raise
        except InDoubt as error:
            self._producers.retire(producer, error)
            raise

    def _move_again(self, batch: Batch, pieces: list[Piece]) -> None:
        """Fill `batch` with a half of one that was refused, which takes it whole, leaving out as `_move_into` does."""
        for piece in self._refused.popleft():
            if piece.call.answer.done():
                self._load.release(piece)
            else:
                pieces.append(piece.fitting(batch))

    def _move_into(self, batch: Batch, pieces: list[Piece]) -> None:
        """Fill `batch` with what waits, leaving out whoever was answered meanwhile; what went into it are `pieces`.

        What raises because of an entry takes all that is in the batch with it: nothing can be taken out again.
        """
        while self._waiting:
            part = self._waiting[0]
            if not part.call.answer.done():
                try:
                    piece = part.move(batch)
                except Exception:  # whatever it was, it is raised on once nothing is held any more
                    self._give_up(part, pieces)
                    raise
                if piece.indexes:
                    pieces.append(piece)
                if part.taken < len(part.indexes):
                    break
            self._waiting.popleft()
            self._drop(part)

    def _give_up(self, culprit: Part, pieces: list[Piece]) -> None:
        """Hold neither `pieces` any more nor what is left of `culprit`, and let its call be told as theirs are."""
        self._waiting.remove(culprit)
        self._drop(culprit)
        for piece in pieces:
            self._load.release(piece)
        pieces.append(Piece(culprit.call, ()))

    def _refuse_waiting(self, error: Exception) -> None:
        for piece in chain.from_iterable(self._refused):
            self._load.release(piece)
            piece.call.fail(error)
        self._refused.clear()
        while self._waiting:
            part = self._waiting.popleft()
            self._drop(part)
            part.call.fail(error)

    def _drop(self, part: Part) -> None:
        part.queued = False
        self._load.release(part.rest())


async def _confirmed(sent: "asyncio.Future[int]") -> int:
    # Cheaper than a timeout around it, and there is one of these for each batch.
    timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, _give_up, sent)
    try:
        return await sent
    finally:
        timer.cancel()


def _give_up(sent: "asyncio.Future[int]") -> None:
    if not sent.done():
        sent.set_exception(InDoubt("the log did not confirm in time"))
