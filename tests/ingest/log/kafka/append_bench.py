"""A log whose producers are stand-ins, so that a test decides when and how a batch ends."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog
from ingest.log.memory import MemoryLog
from ingest.log.partitioning import partition_number
from ingest.report import Entry, Position
from tests.ingest.log.kafka.producer_stand_in import Sent, StandInProducer, until

TOPIC = "tidegate.managed.route_window.v1"
TWO = "tidegate.byod.route_window.v1"
LIMITS = AppendLimits(entries=10, value_bytes=1000, seconds=20)
KEYS = [
    next(key for key in (b"%d" % number for number in range(99)) if partition_number(key, 2) == at) for at in (0, 1)
]
"""A key for each partition of a topic that has two."""


class Bench:
    """A log with stand-in producers, the newest last."""

    def __init__(self) -> None:
        self.producers: list[StandInProducer] = []
        self.room = 1000
        self.refusal: Exception | None = None
        connection = KafkaConnection("nowhere.invalid:9092")
        self.log = KafkaLog(connection, limits=LIMITS, new_producer=self._new, reader=MemoryLog())
        self._tasks: list[asyncio.Task[Sequence[Position]]] = []

    def _new(self) -> StandInProducer:
        self.producers.append(StandInProducer({TOPIC: 1, TWO: 2}, room=self.room, refusal=self.refusal))
        return self.producers[-1]

    @property
    def sent(self) -> list[Sent]:
        """Every batch that was handed over, to whichever producer."""
        return [sent for producer in self.producers for sent in producer.sent]

    def append(self, *keys: bytes, topic: str = TOPIC) -> "asyncio.Task[Sequence[Position]]":
        """An append that goes on by itself."""
        self._tasks.append(asyncio.create_task(self.log.append([entry(key, topic=topic) for key in keys])))
        return self._tasks[-1]

    def wait_at_most(self, seconds: float) -> None:
        """Calls that are made from now on are late after so long."""
        self.log._appender._seconds = seconds

    async def handed_over(self, batches: int) -> list[Sent]:
        """All batches, once there are so many."""
        await until(lambda: len(self.sent) >= batches)
        return self.sent

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.log.close()
        load = self.log._appender._load
        assert (load._entries, load._bytes) == (0, 0), "something is held that nobody waits for"


def entry(key: bytes, value: bytes = b"value", topic: str = TOPIC) -> Entry:
    """An entry without headers."""
    return Entry(topic, key, value, 1_795_000_000_000)


async def raised(call: Coroutine[Any, Any, object] | asyncio.Task[Any]) -> type[BaseException]:
    """The exception of a call that must fail."""
    with pytest.raises((LogUnavailable, InDoubt)) as failed:
        await call
    return failed.type


async def confirmed(bench: Bench, key: bytes) -> None:
    """Append an entry with this key, and confirm it."""
    call, before = bench.append(key), len(bench.sent)
    (await bench.handed_over(before + 1))[-1].confirm()
    await call
