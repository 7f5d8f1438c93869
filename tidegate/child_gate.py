"""A gate in a child process, for commands that need one for a while: started, waited for, and always ended."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

READY_SECONDS = 30.0
STOP_SECONDS = 15.0
"""A gate ends within 10 s of SIGTERM; what takes longer hangs."""

NOT_INHERITED = ("TIDEGATE_", "OTEL_")
"""Settings of the caller's own gate and its collector, which are none of this one's business."""


class GateFailed(Exception):
    """The child did not become a gate; the message has its last words."""


@dataclass(frozen=True, slots=True)
class ChildGate:
    """A gate that takes requests at `url`."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def child_gate(data: Path, *, stderr: Path, more: Sequence[str] = ()) -> Iterator[ChildGate]:
    """`tidegate serve` on a free loopback port, with `more` options, its log lines in the file `stderr`.

    Raises `GateFailed`.
    """
    command = [sys.executable, "-m", "tidegate", "serve", "--data", str(data), "--host", "127.0.0.1", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    with stderr.open("w", encoding="utf-8") as lines:
        process = subprocess.Popen(  # noqa: S603 - this very program, on a directory that the caller made
            [*command, *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=lines,
            env=environment,
            text=True,
            # Ctrl-C reaches the whole foreground group; when this gate ends is up to us alone.
            start_new_session=True,
        )
    try:
        yield ChildGate(_ready(process, stderr), process)
    finally:
        with signals(signal.SIG_IGN):  # an impatient second Ctrl-C must not leave the gate behind
            _stop(process)


def _ready(process: subprocess.Popen[str], stderr: Path) -> str:
    """The URL in the line that the gate prints once it takes requests."""
    assert process.stdout is not None  # noqa: S101 - for the type checker; a pipe was asked for
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stdout], [], [], 0.1)[0]:
            line = process.stdout.readline()
            if line:
                return str(json.loads(line)["url"])
    raise GateFailed(f"the gate did not start:\n{last_words(stderr)}")


def last_words(stderr: Path) -> str:
    """The end of what a gate logged; such lines hold nothing that was sent."""
    return "\n".join(stderr.read_text(encoding="utf-8").splitlines()[-5:]) or "it said nothing"


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


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
