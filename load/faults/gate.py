"""One `tidegate serve` that faults happen to: started, waited for, killed, stopped and continued by its process id."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from load.faults.standstill import Deadline
from load.server_process import START_SECONDS

T = TypeVar("T")

STOP_SECONDS = 10.0
"""How long a gate may take to end, by its contract."""

PATIENCE_SECONDS = 300.0
"""For an answer to the schedule itself: a publication over all hours of 200 rounds takes seconds of CPU, of which two
logs and three brokers leave little. What devices wait for is looked at in `load/faults/clients.py`."""

POLL_SECONDS = 0.02
PROGRAM = "load.faults.turned_clock"
NOT_INHERITED = ("TIDEGATE_", "OTEL_")
GIVES_BACK: Mapping[str, str] = {"DUCKDB_JE_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"}
"""DuckDB's allocator gives pages back at once: jemalloc's own setting, with the prefix that DuckDB gives it. Otherwise
it does so after a second, and only when it is asked for others (`memory.py`)."""


class GateFailed(Exception):
    """A gate did what none may do: it did not start, or not end. The message has its last words."""


def eventually(condition: Callable[[], T], what: str, *, seconds: float = START_SECONDS) -> T:
    """The first true value of `condition`; raises `GateFailed` where there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise GateFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)
    return found


class GateProcess:
    """A gate in `folder`, whose stdout and stderr all gates of the folder share."""

    def __init__(self, folder: Path, settings: Sequence[str], *, failpoints: str = "") -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        environment |= GIVES_BACK
        if failpoints:
            environment["TIDEGATE_FAILPOINTS"] = failpoints
        self.client = httpx.Client(timeout=PATIENCE_SECONDS)
        self.url = ""
        self._stdout = folder / "stdout"
        self._stderr = folder / "stderr"
        self._lines = self._stdout.read_bytes().count(b"\n") if self._stdout.exists() else 0
        command = [
            sys.executable,
            "-m",
            PROGRAM,
            str(folder / "clock"),
            "tidegate",
            "serve",
            *settings,
        ]
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            # A session of its own: Ctrl-C is for the schedule, which ends its gates itself. Nothing comes behind this
            # that could fail, for nobody would know of the process.
            self.process = subprocess.Popen(  # noqa: S603  # this very program, on a directory of our own
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_until_ready(self) -> None:
        """Return once it takes requests; raises `GateFailed`."""

        def line() -> bytes | None:
            if not self.alive:
                raise GateFailed(f"the gate ended with {self.process.returncode} at its start:\n{self.last_words()}")
            lines = self._stdout.read_bytes().split(b"\n")[:-1]
            return lines[self._lines] if len(lines) > self._lines else None

        self.url = json.loads(eventually(line, "the gate takes requests") or b"")["url"]

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power switch would; it does not matter whether it is there any more."""
        if self.alive:
            self.process.kill()
        self.process.wait()
        self.client.close()

    def stop(self) -> int:
        """SIGTERM, and its exit code; raises `GateFailed` where it does not end in time."""
        if self.alive:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.wait_until_ended()
        finally:
            self.client.close()

    def wait_until_ended(self) -> int:
        """The exit code of one that was sent SIGTERM; raises `GateFailed` where it does not end in time."""
        deadline = Deadline(STOP_SECONDS + 2)  # what takes 10 s may be measured as a little more
        while (code := self.process.poll()) is None:
            if deadline.is_over:
                raise GateFailed(f"the gate did not end within {STOP_SECONDS:.0f} s of SIGTERM")
            time.sleep(POLL_SECONDS)
        return code

    def get(self, path: str, token: str = "") -> Any:
        """A document of the gate; raises `GateFailed` where there is none."""
        answer = self.client.get(self.url + path, headers={"authorization": f"Bearer {token}"} if token else {})
        if answer.status_code != 200:
            raise GateFailed(f"GET {path} was answered with {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def metrics_text(self) -> str:
        """What `/metrics` says."""
        return self.client.get(self.url + "/metrics").text

    def says_ready(self) -> bool:
        """Whether it says that it can take reports."""
        return self.client.get(self.url + "/readyz").status_code == 200

    def publish(self, token: str) -> httpx.Response:
        """Have everything that was answered with 202 applied and published."""
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return self.client.post(self.url + "/v1/publications", content=b'{"include_open": true}', headers=headers)

    def own_bytes(self) -> int:
        """Memory that the process occupies now and shares with no file (RssAnon)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It does nothing at all, as a machine that is suspended."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @contextmanager
    def limited_files(self, most_bytes: int) -> Iterator[None]:
        """No file of it can grow beyond so many bytes."""
        before = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most_bytes, before[1]))
        try:
            yield
        finally:
            if self.alive:
                resource.prlimit(self.pid, resource.RLIMIT_FSIZE, before)

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """The complete log lines of one event, of all gates of the folder."""
        lines = self._stderr.read_bytes().split(b"\n")[:-1]
        return [line for line in map(json.loads, filter(_is_object, lines)) if line["event"] == name]

    def last_words(self) -> str:
        """The end of what was logged; such lines hold nothing that was sent."""
        return "\n".join(self._stderr.read_text(encoding="utf-8").splitlines()[-6:])


def _is_object(line: bytes) -> bool:
    """A gate that does not start says so in plain words."""
    return line.startswith(b"{")
