"""Work that a process of its own does meanwhile, on what this one has in memory.

The process is forked, so that a fleet need not be sent to it: begin before there are threads that hold locks.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")


@contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """A function that waits for what `work` returns; the process ends with the block, however the block ends.

    Where that process fails, the work is done again in this one, which raises what there is to be raised.
    """
    context = get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, receiving, sending), daemon=True)
    process.start()
    sending.close()

    def result() -> T:
        try:
            found: T = receiving.recv()
        except EOFError:
            return work()
        return found

    try:
        yield result
    finally:
        process.kill()
        process.join()
        receiving.close()


def _work(work: Callable[[], T], receiving: "Connection[T, T]", sending: "Connection[T, T]") -> None:
    # So the end of the process that waits is noticed by this one, which sends to nobody then.
    receiving.close()
    # Ctrl-C reaches the whole foreground group; when this process ends is up to the other one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sending.send(work())
