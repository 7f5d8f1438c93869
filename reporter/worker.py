"""The one thread of a reporter. It sleeps until there is something to do, and dies with its process.

After it was woken it waits a moment, so that what is observed in quick succession costs one awakening. Should it die of
an error of ours, or could it not be started, the next observation starts another one.
"""

import atexit
import sys
from collections.abc import Callable
from functools import partial
from threading import Condition, Event, Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING

from reporter.forking import FORKING
from reporter.queue.patience import PATIENCE
from reporter.survival import Survival
from reporter.work import Work

if TYPE_CHECKING:
    from reporter.observing.inbox import Inbox

GATHER_SECONDS = 0.2
POLL_SECONDS = 0.01
LONGEST_SLEEP_SECONDS = 60.0
"""Clocks jump, and settings are changed by others."""

AFTER_ERROR_SECONDS = 1.0
"""Until it is tried again, and so it is with a thread that cannot be started."""

LEAST_SECONDS = 1.0
"""For what needs the disk alone, however short the time is that an application leaves."""

PREPARING_SECONDS = 10.0
"""Until modules are loaded, on a busy machine. It ends by itself, whatever others do."""


class Worker:
    """Works for one inbox; `wake` is called by whoever has something for it.

    `exit_seconds` is how long the end of the process may be held up where the gate or the disk let it wait.
    """

    def __init__(self, work: Work, survival: Survival, exit_seconds: float) -> None:
        self._work = work
        self._survival = survival
        self._exit_seconds = exit_seconds
        self._bell = Event()
        self._hurry = Event()
        self._asked = Condition()
        self._starting = Lock()
        self._wanted = self._done = 0
        self._seconds = 0.0
        self._went_out = False
        self._ended = False
        self._thread: Thread | None = None
        self._start_at = 0.0
        self.inbox: Inbox
        """Set by whoever makes both."""
        # Now, not when it is started: what an application registers after this is called before it.
        atexit.register(self.close_at_exit)

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
        self._wait_until_prepared()
        now = monotonic()
        until = now + seconds
        if not self._at_disk(partial(self._work.add_up, self.inbox), until):
            return False
        if not self._work.knows_policy:
            self._sent(now + seconds / 2)
        return self._at_disk(self._work.close_all, until) and self._sent(until)

    def _wait_until_prepared(self) -> None:
        until = monotonic() + PREPARING_SECONDS
        while self._work.is_preparing and monotonic() < until:
            sleep(POLL_SECONDS)

    def _at_disk(self, do: Callable[[], None], until: float) -> bool:
        """Do it in this thread, and wait for nobody who has the disk much beyond then; whether it came to it."""
        if self._done_at_disk(do, until):
            return True
        # The thread may have begun to load modules when it was no longer waited for that.
        if not self._work.is_preparing:
            return False
        self._wait_until_prepared()
        return self._done_at_disk(do, until)

    def _done_at_disk(self, do: Callable[[], None], until: float) -> bool:
        until = max(until, monotonic() + LEAST_SECONDS)
        with PATIENCE.up_to(until), FORKING.held_within(until - monotonic()) as is_held:
            if is_held:
                do()
            return is_held

    def _sent(self, until: float) -> bool:
        """Have the thread send what there is; whether nothing is left."""
        with self._asked:
            self._wanted += 1
            number, self._seconds = self._wanted, until - monotonic()
            self._hurry.set()
            self.wake()
            while self._done < number and self._will_answer() and (left := until - monotonic()) > 0:
                self._asked.wait(left)
            return self._done >= number and self._went_out

    def _will_answer(self) -> bool:
        """Whether there is a thread, a new one if the last has died meanwhile."""
        if self._thread is None and not self._ended:
            self._start()
        return not self._ended and (self._thread is not None or self._starting.locked())

    def close(self, seconds: float) -> None:
        """End: what was observed is queued, and sent if that can be done in so long."""
        if self._ended:
            return
        try:
            self.flush(seconds)
        finally:
            self.stop()
        if not self.is_at_work:
            self._work.end()

    def close_at_exit(self) -> None:
        """As `close`; nobody is left to catch an error, and the interpreter would print it.

        The reporters of a process share the time: it is counted from where the first of them began to end.
        """
        self._survive(partial(self.close, ENDING.left(self._exit_seconds)))

    def stop(self) -> None:
        """End at once."""
        self._ended = True
        atexit.unregister(self.close_at_exit)
        self._hurry.set()
        self._bell.set()

    def abandon(self) -> None:
        """After a fork, in the child: there is no thread, and its bells may have been left locked by the parent's."""
        self._ended = True
        self._thread = None
        self.inbox.is_asleep = False
        atexit.unregister(self.close_at_exit)

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
        # Not waited for: whoever has it starts the thread, and may be this very thread below a signal handler.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None and not self._ended and not self._could_start():
                # Whoever observes something next tries it again.
                self.inbox.is_asleep = True
        finally:
            self._starting.release()

    def _could_start(self) -> bool:
        if monotonic() < self._start_at:
            return False
        self._thread = Thread(target=self._run, name="tidegate-reporter", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # The interpreter is about to end, or there are too many threads; `close` does what can be done.
            self._thread, self._start_at = None, monotonic() + AFTER_ERROR_SECONDS
            return False
        at_end_of_child(self.close_at_exit)
        return True

    def _run(self) -> None:
        self._survive(self._work_until_ended)
        with self._asked:
            self._thread = None
            self._asked.notify_all()
        self.inbox.is_asleep = True

    def _work_until_ended(self) -> None:
        self._survive(self._work.begin)
        while not self._ended:
            pause = self._survive(self.cycle)
            self._sleep(AFTER_ERROR_SECONDS if pause is None else pause)
        self._survive(self._work.end)

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
        except BaseException as error:  # noqa: BLE001  # the rim: the thread goes on, and threading prints nothing
            self._survival.count(error)
            return None


EXIT_SECONDS = 2.0


class Ending:
    """The end of the process, from where the first reporter noticed it."""

    def __init__(self) -> None:
        self._since: float | None = None

    def left(self, seconds: float) -> float:
        """How much of so many seconds is left."""
        now = monotonic()
        if self._since is None:
            self._since = now
        return max(self._since + seconds - now, 0.0)


ENDING = Ending()


def at_end_of_child(close: Callable[[], None]) -> None:
    """Have `close` called where a child of multiprocessing ends, which skips atexit and what was registered so far."""
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, close, exitpriority=0)
