"""The one producer that batches go to now, and the end of those before it.

A producer is made when it is first needed. One that failed is replaced at once, the next ones after a while that grows
until a batch is stored, and so does the while between attempts to reach the cluster: a gate beside a dead cluster must
not try a thousand times a second. Whoever asks meanwhile is refused at once, with the reason.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ingest.log import LogUnavailable
from ingest.log.kafka.producer import Producer
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log

RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 4.0
"""A cluster that is back is noticed after so long at the latest, and what it takes to connect."""

TELL_EVERY_SECONDS = 60.0

LEAVE_SECONDS = 5.0
"""How long what is under way at a producer that is not used any more may take to end."""


class Backoff:
    """How long to wait before the next attempt: `first` seconds, and twice as long after each, up to `longest`."""

    def __init__(self, first: float, *, longest: float) -> None:
        self._first = self._next = first
        self._longest = longest

    def next(self) -> float:
        """How long to wait now."""
        seconds, self._next = self._next, min(self._next * 2, self._longest)
        return seconds

    def reset(self) -> None:
        """An attempt succeeded."""
        self._next = self._first


class Producers:
    """Makes producers with `new`, one at a time; belongs to one event loop."""

    def __init__(self, new: Callable[[], Producer]) -> None:
        self._new = new
        self._current: Producer | None = None
        self._starting: asyncio.Task[Producer | None] | None = None
        self._ending: set[asyncio.Task[Any]] = set()
        self._refusal = "the log is closed"
        self._refused_until = 0.0
        self._retries = Backoff(RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self._well = True
        self._quiet_until = 0.0
        self._closed = False

    @property
    def current(self) -> Producer | None:
        """The producer that is used now, if there is one."""
        return self._current

    async def running(self) -> Producer:
        """The producer to use now; raises `LogUnavailable`."""
        if self._current is not None:
            return self._current
        if self._closed or asyncio.get_running_loop().time() < self._refused_until:
            raise LogUnavailable(self._refusal)
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        # Shielded: others wait for the same start, and one that has begun is worth its end.
        if (started := await asyncio.shield(self._starting)) is None:
            raise LogUnavailable(self._refusal)
        return started

    def retire(self, producer: Producer, error: BaseException) -> None:
        """Use it no more because of `error`: what is under way at it may end, the next batch goes to another one."""
        if self._current is not producer:
            return
        self._current = None
        self._tell(error)
        self._end(producer, patience=LEAVE_SECONDS)
        if not self._well:
            self._refuse(f"what was sent before failed: {error}")
        self._well = False

    def stored(self, producer: Producer) -> None:
        """A batch that went by `producer` is stored."""
        if not self._well and self._current is producer:
            self._well = True
            self._retries.reset()

    async def close(self, *, seconds: float) -> None:
        """End every producer now; returns after `seconds` at the latest, give or take what ending them takes."""
        self._closed, self._refusal = True, "the log is closed"
        if self._starting is not None:
            self._starting.cancel()
            self._ending.add(self._starting)
        if self._current is not None:
            self._end(self._current, patience=0)
            self._current = None
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=seconds)
            for task in late:
                task.cancel()

    async def _start(self) -> Producer | None:
        producer = self._new()
        try:
            await producer.start()
        except LogUnavailable as error:
            self._well = False
            self._refuse(str(error))
            return None
        else:
            self._current = producer
            return producer
        finally:
            self._starting = None

    def _refuse(self, why: str) -> None:
        """For a while no producer is made."""
        self._refusal = why
        self._refused_until = asyncio.get_running_loop().time() + self._retries.next()

    def _tell(self, error: BaseException) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            log(Event.PRODUCER_REPLACED, error=error)
            self._quiet_until = now + TELL_EVERY_SECONDS

    def _end(self, producer: Producer, *, patience: float) -> None:
        task = asyncio.create_task(producer.stop(patience=patience))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
