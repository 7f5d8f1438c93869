"""Where observations wait for the worker: bounded, and the application never waits for more than a few of them.

`put` is the last thing that an application pays for. Appending is atomic, so that no lock is taken. Where the worker
does not keep up, whoever puts something in adds up something itself: that costs a few microseconds and loses nothing.
Only while that cannot be done, because the worker stands still at a file that somebody else has, the oldest is given up
and counted: an application that observes thousands of things in that time must not stand still as well.
"""

from collections import deque
from collections.abc import Callable, Iterator

from reporter.clock import Clock
from reporter.observing.observation import Observation
from reporter.survival import Survival

MOST_WAITING = 4096
"""A few hundred bytes each. At the pace of the worker, 5 µs a task, it stands for 20 ms of work."""

STANDS_STILL_SECONDS = 1.0
"""For so long nobody tries again to add up something itself after that could not be done."""


class Inbox:
    """`is_asleep` is set by the worker when it waits for `wake` to be called, and taken back by whoever calls it.

    `add_up` says whether it could. `given_up` is how many observations were lost for want of room.
    `now_ms` and `monotonic` are the clock's, looked up once, for they are asked several times for each task.
    """

    __slots__ = (
        "_add_up", "_again_at", "_waiting", "_wake", "given_up", "is_asleep", "monotonic", "now_ms", "survival",
    )  # fmt: skip

    def __init__(
        self, clock: Clock, survival: Survival, *, wake: Callable[[], None], add_up: Callable[[Observation], bool]
    ) -> None:
        self._waiting: deque[Observation] = deque()
        self._wake = wake
        self._add_up = add_up
        self.now_ms = clock.now_ms
        self.monotonic = clock.monotonic
        self.survival = survival
        self.is_asleep = True
        self.given_up = 0
        self._again_at: float | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, observation: Observation) -> None:
        """Takes what was observed."""
        waiting = self._waiting
        waiting.append(observation)
        if self.is_asleep:
            # First of all: this may be called again below, by a signal handler or a finaliser.
            self.is_asleep = False
            self._wake()
        if len(waiting) > MOST_WAITING:
            for oldest in self.taken(most=1):
                self._make_room(oldest)

    def _make_room(self, oldest: Observation) -> None:
        now = self.monotonic()
        if (self._again_at is None or now >= self._again_at) and self._add_up(oldest):
            self._again_at = None
            return
        if self._again_at is None or now >= self._again_at:
            self._again_at = now + STANDS_STILL_SECONDS
        self.given_up += 1

    def taken(self, most: int = MOST_WAITING) -> Iterator[Observation]:
        """What waits, oldest first, up to a number; for each there is one taker."""
        for _ in range(most):
            try:
                yield self._waiting.popleft()
            except IndexError:
                return
