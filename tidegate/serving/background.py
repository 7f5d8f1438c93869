"""Tasks that go on beside the requests, and the end of a process that hangs."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any

from ingest.telemetry.events import Event
from ingest.telemetry.logs import log

STOP_SECONDS = 9.0
"""How long a stop may take in all. What was acknowledged is durable, so leaving in the middle loses nothing."""


class Background:
    """Tasks of one owner. One that fails is logged with its place, and disturbs nobody else."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` go on by itself."""
        task = asyncio.create_task(work)
        task.add_done_callback(_tell_if_failed)
        self._tasks.append(task)

    async def cancel(self) -> None:
        """End all of them now."""
        for task in self._tasks:
            task.cancel()
        await self.done()

    async def done(self) -> None:
        """Wait until all of them have ended, however they end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _tell_if_failed(task: asyncio.Task[None]) -> None:
    """A background task that ends by an exception is a fault of ours, and must not end in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log(Event.TASK_FAILED, error=error)


def give_up_after(seconds: float) -> None:
    """End the process in `seconds` if it has not ended by then: a hung disk keeps threads that nobody can interrupt."""

    def give_up() -> None:
        log(Event.STOP_GIVEN_UP)
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
