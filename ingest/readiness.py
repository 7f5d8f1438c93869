"""Is the gate fit to take reports? A real check, made every few seconds, with hysteresis so that the answer does not
flap.

A single failed check does not take a gate out of rotation, and a single good one does not put it back.
"""

import asyncio
from collections.abc import Awaitable, Callable

FAILURES_TO_LOSE = 2
SUCCESSES_TO_REGAIN = 2
CHECK_EVERY_SECONDS = 2.0
"""A check of the embedded log is one durable write, so this is one fsync in two seconds on an idle gate."""


class Readiness:
    """Ready until `FAILURES_TO_LOSE` checks in a row failed; then not, until `SUCCESSES_TO_REGAIN` in a row succeeded.

    Before the first check the gate is not ready; that one check decides by itself.
    """

    def __init__(self) -> None:
        self._ready: bool | None = None
        self._contrary = 0

    @property
    def ready(self) -> bool:
        """What `/readyz` says."""
        return self._ready is True

    def observe(self, *, healthy: bool) -> bool:
        """Take one check's result into account; returns whether the answer changed."""
        if self._ready is None:
            self._ready = healthy
            return True
        if healthy == self._ready:
            self._contrary = 0
            return False
        self._contrary += 1
        if self._contrary < (FAILURES_TO_LOSE if self._ready else SUCCESSES_TO_REGAIN):
            return False
        self._ready, self._contrary = healthy, 0
        return True


async def watch(
    readiness: Readiness,
    check: Callable[[], Awaitable[bool]],
    *,
    changed: Callable[[bool], None],
    every: float = CHECK_EVERY_SECONDS,
) -> None:
    """Check for ever, `every` seconds; `changed` is told each time the answer changes. Ends when it is cancelled."""
    while True:
        if readiness.observe(healthy=await check()):
            changed(readiness.ready)
        await asyncio.sleep(every)
