"""The servers that a benchmark measures: processes of their own, on a core of their own, ended with the block.

The CPU time of a server is read from the operating system's clock of that process: user and system time of all its
threads, those that have ended included, in nanoseconds (the figures in /proc/<pid>/stat come in steps of 10 ms).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.access.tokens import TokenStore
from ingest.clock import SystemClock
from load.started import started

START_SECONDS = 30.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02
DAY_MS = 86_400_000
CPUCLOCK_SCHED = 2
"""The kernel's number of the clock that counts the CPU time of a process; see `clock_getcpuclockid(3)`."""


class ServerFailedError(Exception):
    """A server did not start; the message says which, and what it last wrote on stderr."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that takes requests: its process, its address and the token that it accepts."""

    process: subprocess.Popen[bytes]
    url: str
    token: str

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def cpu_seconds(self) -> float:
        """User and system time of the whole process since its start."""
        return time.clock_gettime(~self.process.pid << 3 | CPUCLOCK_SCHED)

    def resident_bytes(self) -> int:
        """Memory that the process occupies now (VmRSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the servers run on and which the client; the same one where there is only one."""

    server: int
    client: int


def choose_cores() -> Cores:
    """The last two of the cores that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(server=usable[-1], client=usable[-2] if len(usable) > 1 else usable[-1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """This process, and every process that it starts within the block, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def gate(folder: Path, *, tiers: Path, log: str, tier: str, core: int, more: Sequence[str] = ()) -> Iterator[Server]:
    """`tidegate serve --only ingest`, with `more` options, a fresh data directory in `folder`, a token for `tier`."""
    with closing(TokenStore(folder / "data" / TOKENS_FILE, SystemClock())) as store:
        token = store.new(tier=tier, kind="device", label="bench", lifetime_ms=DAY_MS).text
    command = ["tidegate", "serve", "--only", "ingest", "--log", log, "--port", "0"]
    command += ["--data", str(folder / "data"), "--tiers", str(tiers), *more]
    with _running(folder, command, environment={}, core=core, token=token) as server:
        yield server


@contextmanager
def application(folder: Path, name: str, *, environment: Mapping[str, str], core: int) -> Iterator[Server]:
    """One of `load.application`; the token that it accepts is the only value of `environment`."""
    command = ["load.application", name]
    (token,) = environment.values()
    with _running(folder, command, environment=environment, core=core, token=token) as server:
        yield server


@contextmanager
def _running(
    folder: Path, module: Sequence[str], *, environment: Mapping[str, str], core: int, token: str
) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr, pinned(core):
            running = started(
                [sys.executable, "-m", *module],
                end=_end,
                stdout=stdout,
                stderr=stderr,
                env={**_plain_environment(), **environment},
                # Ctrl-C at a terminal goes to a whole group; a server that it stops would look like one that failed.
                process_group=0,
            )
            process = stack.enter_context(running)
        yield Server(process, _ready_url(process, folder, module[0]), token)


def _plain_environment() -> dict[str, str]:
    """This process's environment without settings of the gate or of telemetry, which would change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OTEL_"))}


def _ready_url(process: subprocess.Popen[bytes], folder: Path, name: str) -> str:
    """The URL in the line that the server prints once it listens; raises `ServerFailedError`."""
    deadline = time.monotonic() + START_SECONDS
    while b"\n" not in (line := (folder / "stdout").read_bytes()):
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / "stderr").read_text(encoding="utf-8")[-1000:]
            raise ServerFailedError(f"{name} did not start within {START_SECONDS:.0f} s; it said:\n{said}")
        time.sleep(POLL_SECONDS)
    return str(json.loads(line)["url"])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
