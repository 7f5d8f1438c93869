"""Time as a thing that is handed in, so that a test decides what time it is and never waits.

Rules: wall time (`now_ms`) is for what is written down or compared with what a device said; `monotonic` is for how long
something took or may take, because it never jumps when somebody sets the machine's clock.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the gate asks about time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told to go on; both of its times move together."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = float(now_ms)
        self._monotonic = 0.0

    def now_ms(self) -> int:
        return int(self._now_ms)

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; a clock does not go back, so a negative number raises ValueError."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self._now_ms += seconds * 1000
        self._monotonic += seconds


def iso_utc(at_ms: int) -> str:
    """Milliseconds since the epoch as people read them: `2026-11-21T08:48:00Z`, cut to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
