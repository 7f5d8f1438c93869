"""A child process that is known as soon as it exists, so that whoever interrupts its start leaves none behind.

Python raises Ctrl-C in the main thread, between any two steps: inside `Popen` as well, after the process has begun and
before there is an object that could end it. In another thread nothing is interrupted.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


def uninterrupted(start: Callable[[], None]) -> None:
    """Run `start` to its end before an interrupt is raised here; it has to keep what it started."""
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(start).result()


@contextmanager
def started(
    command: Sequence[str], *, end: Callable[[subprocess.Popen[bytes]], None], **how: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """`Popen(command, **how)` for the length of a block, which `end` ends however the block is left."""
    begun: list[subprocess.Popen[bytes]] = []
    try:
        uninterrupted(lambda: begun.append(subprocess.Popen(command, **how)))  # noqa: S603  # the caller's own program
        yield begun[0]
    finally:
        for process in begun:
            end(process)
