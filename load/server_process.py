"""A server in a process of its own: started, waited for until it says that it takes requests, ended with its block.

    with server_process(command, stdout=folder / "stdout", stderr=folder / "stderr") as server:
        url = server.ready()["url"]

Whoever starts a server ends it, however the block is left: Ctrl-C at a terminal goes to a whole session, and the server
has one of its own. Servers that follow each other may share their two files; each appends to them.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from load.started import started

START_SECONDS = 60.0
"""A server takes a few seconds of CPU, and on a machine that has other things to do it gets them late."""

STOP_SECONDS = 15.0
"""A gate ends within 10 s of SIGTERM; what takes longer hangs."""

POLL_SECONDS = 0.02
LINES_OF_AN_ERROR = 6

NOT_INHERITED = ("TIDEGATE_", "OTEL_")
"""Settings of the caller's own gate and its collector, which are none of this one's business."""

NOTHING_MORE: Mapping[str, str] = {}


class ServerFailed(Exception):
    """A server did not become ready, or ended by itself; the message has its last words."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that was started; `printed_before` is how much (bytes) of `stdout` is not its own."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path
    printed_before: int

    def ready(self, *, seconds: float = START_SECONDS) -> dict[str, Any]:
        """The JSON object in the line that it prints once it takes requests; raises `ServerFailed`."""
        deadline = time.monotonic() + seconds
        while b"\n" not in (printed := self.stdout.read_bytes()[self.printed_before :]):
            if self.process.poll() is not None:
                raise ServerFailed(f"it ended with {self.process.returncode} at its start:\n{last_words(self.stderr)}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"it was not ready within {seconds:.0f} s:\n{last_words(self.stderr)}")
            time.sleep(POLL_SECONDS)
        document: dict[str, Any] = json.loads(printed.partition(b"\n")[0])
        return document


@contextmanager
def server_process(
    command: Sequence[str],
    *,
    stdout: Path,
    stderr: Path,
    environment: Mapping[str, str] = NOTHING_MORE,
    patience: float = STOP_SECONDS,
) -> Iterator[ServerProcess]:
    """Start `command`, with `environment` beside what it inherits. `patience`: seconds from SIGTERM to SIGKILL."""
    before = stdout.stat().st_size if stdout.exists() else 0
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    with (
        stdout.open("ab") as printed,
        stderr.open("ab") as said,
        started(
            command,
            end=partial(end, patience=patience),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=said,
            env={**inherited, **environment},
            start_new_session=True,
        ) as process,
    ):
        yield ServerProcess(process, stdout, stderr, before)


def end(process: subprocess.Popen[bytes], *, patience: float = STOP_SECONDS) -> None:
    """SIGTERM, and SIGKILL where it has not ended after `patience` seconds."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(stderr: Path) -> str:
    """The end of what a server logged; a gate's lines hold nothing that was sent."""
    return "\n".join(stderr.read_text(encoding="utf-8").splitlines()[-LINES_OF_AN_ERROR:]) or "it said nothing"
