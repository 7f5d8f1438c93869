"""One sender for a device: whoever holds the lock on sender.lock. It goes with its process, however that ends."""

import fcntl
import os
from pathlib import Path


class SenderLock:
    """The lock on the file at `path`, which stays: were it removed, two processes could hold two different ones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None
        self._process = os.getpid()

    def take(self) -> bool:
        """Whether this process is the one that sends, now and until `release`."""
        if self._process != os.getpid():
            self.abandon()
        if self._held is None:
            self._held = self._taken()
        return self._held is not None

    def release(self) -> None:
        """Let another process send."""
        if self._process == os.getpid() and self._held is not None:
            os.close(self._held)
            self._held = None

    def abandon(self) -> None:
        """After a fork, in the child: the lock is the parent's, and would outlive it here."""
        if self._held is not None:
            os.close(self._held)  # LOCK_UN would take it from the parent
        self._held = None
        self._process = os.getpid()

    def _taken(self) -> int | None:
        descriptor: int | None = None
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if descriptor is not None:
                os.close(descriptor)
            return None
        return descriptor
