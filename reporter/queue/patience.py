"""How long a thread waits for another process that has a file of the device.

A transaction takes milliseconds, so that a wait of seconds means a stuck process. Who waits in an application's time,
at the end of its process for instance, has less patience than the worker behind its back.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

BUSY_SECONDS = 5.0


class Patience(threading.local):
    """Each thread's own."""

    _until: float | None = None

    def seconds(self) -> float:
        """How long this thread may wait from now on."""
        return BUSY_SECONDS if self._until is None else min(max(self._until - time.monotonic(), 0.0), BUSY_SECONDS)

    @contextmanager
    def up_to(self, until: float) -> Iterator[None]:
        """In here this thread waits for no file beyond a moment of the monotonic clock."""
        before, self._until = self._until, until
        try:
            yield
        finally:
            self._until = before


PATIENCE = Patience()
