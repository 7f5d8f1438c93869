"""How long the machine stood still: a limit in seconds says nothing of a gate that nobody ran meanwhile.

A virtual machine may get no time from its host for seconds, and with it no process of a run does. What is seen of it is
how long this process stood still: a thread sleeps a tenth of a second again and again, and oversleeps.
"""

import threading
import time
from functools import cache

SLEEP_SECONDS = 0.1
STILL_SECONDS = 0.5
"""What is overslept by less is a machine with other things to do, which the limits are made for."""


class Watch:
    """Adds up what whoever calls `woke` after each sleep has overslept; times are of the clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._seen = (0.0, now)  # one object, since it is read on other threads

    def seconds(self, now: float) -> float:
        """How long the machine stood still, with what the sleeper has not woken up from yet."""
        before, since = self._seen
        overslept = now - since - SLEEP_SECONDS
        return before + (overslept if overslept > STILL_SECONDS else 0.0)

    def woke(self, now: float) -> None:
        """A sleep is over, and the next one begins."""
        self._seen = (self.seconds(now), now)


@cache
def _watch() -> Watch:
    watch = Watch(time.monotonic())

    def sleep() -> None:
        while True:
            time.sleep(SLEEP_SECONDS)
            watch.woke(time.monotonic())

    threading.Thread(target=sleep, name="standstill", daemon=True).start()
    return watch


def stood_still() -> float:
    """For how many seconds the machine stood still since this was asked first."""
    return _watch().seconds(time.monotonic())


class Deadline:
    """A moment some seconds away, and later by as much as the machine stands still until then."""

    def __init__(self, seconds: float) -> None:
        self._still = stood_still()
        self._at = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._at + stood_still() - self._still
