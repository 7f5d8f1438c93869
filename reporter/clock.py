"""Time, handed in: wall time for what is written down, monotonic time for how long something takes."""

import time
from typing import Protocol


class Clock(Protocol):
    """What a device asks about time. Its wall clock may be wrong, and may jump either way."""

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
