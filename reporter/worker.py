"""The one thread of a reporter. It sleeps until there is something to do, and dies with its process.

After it was woken it waits a moment, so that what is observed in quick succession costs one awakening.
"""

import atexit
import sys
from collections.abc import Callable
from threading import Condition, Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from reporter.survival import Survival
from reporter.work import Work

if TYPE_CHECKING:
    from reporter.observing.inbox import Inbox

GATHER_SECONDS = 0.2
LONGEST_SLEEP_SECONDS = 60.0
"""Clocks jump, and settings are changed by others."""

AFTER_ERROR_SECONDS = 1.0


class Worker:
    """Works for one inbox; `start` is called by whoever has something for it."""

    def __init__(self, work: Work, survival: Survival) -> None:
        self._work = work
        self._survival = survival
        self._bell = Event()
        self._hurry = Event()
        self._asked = Condition()
        self._starting = Lock()
        self._wanted = self._done = 0
        self._seconds = 0.0
        self._went_out = False
        self._ended = False
        self._thread: Thread | None = None
        self.inbox: Inbox
        """Set by whoever makes both."""

    @property
    def is_at_work(self) -> bool:
        """Whether its thread runs."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def wake(self) -> None:
        """There is something to do. Called by any thread, and cheap."""
        if self._thread is None:
            self._start()
        self._bell.set()

    def flush(self, seconds: float) -> bool:
        """Have everything added up, closed and sent, and wait for it for so long; whether nothing is left.

        Where the policy is not known yet it is asked for first, for half of the time: without it little may be said.
        """
        until = monotonic() + seconds
        self._work.add_up(self.inbox)
        if not self._work.knows_policy:
            self._sent(monotonic() + seconds / 2)
        self._work.close_all()
        return self._sent(until)

    def _sent(self, until: float) -> bool:
        """Have the thread send what there is; whether nothing is left."""
        with self._asked:
            self._wanted += 1
            number, self._seconds = self._wanted, until - monotonic()
            self._hurry.set()
            self.wake()
            while self._done < number and not self._ended and (left := until - monotonic()) > 0:
                self._asked.wait(left)
            return self._done >= number and self._went_out

    def close(self, seconds: float) -> None:
        """End: what was observed is queued whatever happens, and sent if that can be done in so long."""
        if self._ended:
            return
        self.flush(seconds)
        self._ended = True
        atexit.unregister(self.close)
        self._hurry.set()
        self._bell.set()
        if not self.is_at_work:
            self._work.end()

    def stop(self) -> None:
        """End at once."""
        self._ended = True
        self._hurry.set()
        self._bell.set()

    def cycle(self) -> float:
        """One round of all there is to do; seconds until the next is worth it."""
        work = self._work
        work.look()
        work.add_up(self.inbox)
        work.close()
        if self._wanted > self._done:
            return self._flush()
        pause = work.step()
        to_close = work.seconds_to_close()
        return pause if to_close is None else min(pause, to_close)

    def _flush(self) -> float:
        """Send for those who wait for it."""
        number = self._wanted
        went_out = False
        try:
            went_out = self._work.flush(self._seconds)
        finally:
            with self._asked:
                self._went_out, self._done = went_out, number
                self._asked.notify_all()
        return 0.0

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self._ended:
                return
            self._thread = Thread(target=self._run, name="tidegate-reporter", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                # The interpreter is about to end, or there are too many threads; `close` does what can be done.
                self._thread = None
            at_exit(self.close)

    def _run(self) -> None:
        self._survive(self._work.begin)
        while not self._ended:
            pause = self._survive(self.cycle)
            self._sleep(AFTER_ERROR_SECONDS if pause is None else pause)
        self._survive(self._work.end)
        with self._asked:
            self._asked.notify_all()

    def _sleep(self, seconds: float) -> None:
        self.inbox.is_asleep = True
        # Looked at after that: whoever puts something in from now on rings the bell.
        if not len(self.inbox) and not self._hurry.is_set():
            self._bell.wait(min(seconds, LONGEST_SLEEP_SECONDS))
        self.inbox.is_asleep = False
        self._hurry.wait(GATHER_SECONDS)
        self._hurry.clear()
        self._bell.clear()

    def _survive(self, call: Callable[[], float | None]) -> float | None:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # the rim: the thread goes on
            self._survival.count(error)
            return None


EXIT_SECONDS = 2.0


def at_exit(close: Callable[[float], None]) -> None:
    """Have `close` called when the process ends, and also where a child of multiprocessing does, which skips atexit."""
    atexit.register(close, EXIT_SECONDS)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, close, args=(EXIT_SECONDS,), exitpriority=0)
