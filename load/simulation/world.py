"""What all simulated things share: one seed, one loop, one true time, and the trace of what happened."""

import logging
from asyncio import Task
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from random import Random
from typing import Any, TypeVar

from ingest.telemetry.logs import LOGGER_NAME
from load.simulation.loop import Process, VirtualLoop

T = TypeVar("T")

START_MS = 1_795_252_080_000
"""2026-11-21 09:08 UTC: in the middle of an hour, so that windows on both sides of its borders occur."""

Tell = Callable[[str], None]
"""Takes one line of the trace."""


class World:
    """One seed's world. `tell` takes the trace; without it nothing is formatted."""

    def __init__(self, seed: int, *, tell: Tell | None = None) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.loop = VirtualLoop(share=self._share, thread_seconds=self._thread_seconds)
        self.processes: list[Process] = []
        self.leapt_ms = 0
        self._tell = tell
        self._outside = copy_context()

    @property
    def is_told(self) -> bool:
        """Whether anybody reads the trace."""
        return self._tell is not None

    def now_ms(self) -> int:
        """The true time, milliseconds since the epoch, UTC."""
        return START_MS + self.leapt_ms + int(self.loop.time() * 1000)

    def say(self, text: str, *values: object) -> None:
        """Enter an event into the trace, `values` formatted into `text` as by `%`."""
        if self._tell is not None:
            self._tell(f"{self.loop.time():10.4f}  {text % values}")

    def process(self, name: str) -> Process:
        """A new process."""
        process = Process(name, self.loop)
        self.processes.append(process)
        self.say("%s: begins", name)
        process.on_kill.append(lambda: self.say("%s: killed", name))
        return process

    def beside(self, work: Coroutine[Any, Any, T]) -> Task[T]:
        """Let `work` run outside of every process."""
        return self.loop.create_task(work, context=self._outside.copy())

    def end(self) -> None:
        """Let go of everything. What a killed process was in the middle of is closed here, where it can do no harm."""
        self._tell = None
        for task in (task for task in self.loop.tasks if not task.done()):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # it was killed, not forgotten
            coroutine = task.get_coro()
            with suppress(BaseException):
                coroutine.close()
        self.loop.close()

    def likely(self, probability: float) -> bool:
        """True with this probability."""
        return self.chance.random() < probability

    def short(self, mean: float) -> float:
        """A duration in seconds: mostly short, sometimes several times the mean."""
        return self.chance.expovariate(1 / mean)

    def _share(self) -> float:
        """Half of the time at the very end of what a thread does, else anywhere in it."""
        return min(1.0, 2 * self.chance.random())

    def _thread_seconds(self) -> float:
        return self.short(0.02)


class ServerClock:
    """The clock of a server: right, until somebody sets it back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.wrong_ms = 0

    def now_ms(self) -> int:
        return self._world.now_ms() + self.wrong_ms

    def monotonic(self) -> float:
        return self._world.loop.time()


@contextmanager
def product_events(world: World) -> Iterator[None]:
    """What the product logs goes into the trace, as it would go to stderr."""
    logger = logging.getLogger(LOGGER_NAME)
    before = logger.handlers[:], logger.propagate, logger.level
    handler = _Teller(world)
    logger.handlers[:], logger.propagate = [handler], False
    logger.setLevel(logging.INFO if world.is_told else logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before[:2]
        logger.setLevel(before[2])


class _Teller(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())
        error = getattr(record, "error", None)
        self._world.say("log: %s %s %s", record.getMessage(), fields, "" if error is None else type(error).__name__)
