"""A process that stood still, without standing still: the running loop's clock goes forward by leaps."""

import asyncio
from dataclasses import dataclass

import pytest


@dataclass(slots=True)
class LoopClock:
    """The clock of the running loop, which is asyncio's own; `leap` is what a stopped process sees when it goes on."""

    ahead: float = 0.0

    def leap(self, seconds: float) -> None:
        self.ahead += seconds


def leaping_clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    """The running loop's clock from now on."""
    loop, clock = asyncio.get_running_loop(), LoopClock()
    true_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: true_time() + clock.ahead)
    return clock
