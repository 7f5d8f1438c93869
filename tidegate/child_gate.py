"""A gate in a child process, for commands that need one for a while: started, waited for, and always ended."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from load.server_process import end, server_process


@dataclass(frozen=True, slots=True)
class ChildGate:
    """A gate that takes requests at `url`."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def child_gate(data: Path, *, stderr: Path, more: Sequence[str] = ()) -> Iterator[ChildGate]:
    """`tidegate serve` on a free loopback port, with `more` options, its log lines in the file `stderr`.

    Raises `ServerFailed`.
    """
    command = [sys.executable, "-m", "tidegate", "serve", "--data", str(data), "--host", "127.0.0.1", "--port", "0"]
    with server_process([*command, *more], stdout=stderr.with_suffix(".stdout"), stderr=stderr) as server:
        try:
            yield ChildGate(str(server.ready()["url"]), server.process)
        finally:
            with signals(signal.SIG_IGN):  # an impatient second Ctrl-C must not leave the gate behind
                end(server.process)


def interrupt(number: int, frame: FrameType | None) -> None:
    """A signal handler: end as Ctrl-C does."""
    del number, frame
    raise KeyboardInterrupt


@contextmanager
def signals(handler: "signal._HANDLER") -> Iterator[None]:
    """`handler` for the signals that ask a program to end, and then those that were there before."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
