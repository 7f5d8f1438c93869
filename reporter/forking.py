"""What must not be under way while the process forks, because the child would find it half done for ever.

A child has one thread, and locks that another one held stay locked there: those of a module that is being imported
(files of a package are read through imports, too), and those inside of SQLite. All of it is done within `held()` only,
and a fork waits until it is over. Never is the network waited for in there.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

MOST_SECONDS = 10.0
"""It takes milliseconds; the queue waits for another process for up to 5 seconds. After that a child may hang, but not
the application that forks."""


class Forking:
    """One for the process, for there is one import system and one SQLite in it."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._waited = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody forks in here; may be entered again by the same thread."""
        with self._lock:
            yield

    @contextmanager
    def held_within(self, seconds: float) -> Iterator[bool]:
        """As `held`, for whoever cannot wait for longer than that; gives whether it is held."""
        lock = self._lock
        is_held = lock.acquire(timeout=max(seconds, 0.0))
        try:
            yield is_held
        finally:
            if is_held:
                lock.release()

    def before(self) -> None:
        """The process is about to fork."""
        self._waited = self._lock.acquire(timeout=MOST_SECONDS)

    def after_in_parent(self) -> None:
        """It has forked."""
        if self._waited:
            self._lock.release()

    def after_in_child(self) -> None:
        """A lock that the parent's worker held would never be free here."""
        self._lock = RLock()


FORKING = Forking()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=FORKING.before, after_in_parent=FORKING.after_in_parent, after_in_child=FORKING.after_in_child
    )
