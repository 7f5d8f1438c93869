"""A producer whose batches a test confirms or refuses itself, for what `KafkaLog` does around aiokafka's."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.log import InDoubt
from ingest.log.kafka.producer import Batch
from ingest.log.kafka.producers import Backoff

PATIENCE_SECONDS = 20.0

REFUSED_KEY = b"an entry that no batch can take"


@dataclass
class StandInBatch:
    """Takes `room` records."""

    room: int
    keys: list[bytes] = field(default_factory=list)

    def append(
        self, *, timestamp: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> object | None:
        del timestamp, value, headers
        if key == REFUSED_KEY:
            raise ZeroDivisionError
        if len(self.keys) >= self.room:
            return None
        self.keys.append(key)
        return key


@dataclass
class Sent:
    """A batch that was handed over."""

    partition: int
    keys: Sequence[bytes]
    answer: "asyncio.Future[int]"

    def confirm(self, base: int = 0) -> None:
        self.answer.set_result(base)

    def fail(self, error: Exception) -> None:
        self.answer.set_exception(error)


@dataclass(eq=False)
class StandInProducer:
    """Knows `topics`, each with its number of partitions; `sent` are the batches that it was given.

    A question about topics takes `seconds`.
    """

    topics: dict[str, int]
    room: int = 1000
    refusal: Exception | None = None
    sent: list[Sent] = field(default_factory=list)
    stopped: bool = False
    timestamps: str = "CreateTime"
    largest_batch: int = 1_048_588
    seconds: float = 0.0

    async def start(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def partitions(self, topic: str) -> int | None:
        return self.topics.get(topic)

    async def refresh(self) -> None:
        await asyncio.sleep(self.seconds)

    async def settings(self, topics: Sequence[str], name: str) -> Mapping[str, str]:
        await asyncio.sleep(self.seconds)
        said = {"message.timestamp.type": self.timestamps, "max.message.bytes": str(self.largest_batch)}
        return dict.fromkeys(topics, said[name])

    def create_batch(self) -> Batch:
        return StandInBatch(self.room)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[int]":
        del topic
        if self.refusal is not None:
            raise self.refusal
        assert isinstance(batch, StandInBatch)
        assert all(sent.partition != partition or sent.answer.done() for sent in self.sent), "two at once"
        self.sent.append(Sent(partition, batch.keys, asyncio.get_running_loop().create_future()))
        return self.sent[-1].answer

    async def stop(self, *, patience: float) -> None:
        self.stopped = True
        waiting = {sent.answer for sent in self.sent if not sent.answer.done()}
        if waiting:
            await asyncio.wait(waiting, timeout=patience)
        for answer in waiting:
            if not answer.done():
                answer.set_exception(InDoubt("stopped"))


class Told(Backoff):
    """Says how long to wait, and lets nobody wait."""

    def __init__(self) -> None:
        super().__init__(0.5, longest=4.0)
        self.waits: list[float] = []

    def next(self) -> float:
        self.waits.append(super().next())
        return 0.0


async def until(condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Returns once the condition holds; fails when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)
