"""The servers that a benchmark measures: processes of their own, on a core of their own, ended with the block.

The CPU time of a server is read from the operating system's clock of that process: user and system time of all its
threads, those that have ended included, in nanoseconds (the figures in /proc/<pid>/stat come in steps of 10 ms).
"""

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
from load.server_process import server_process

DAY_MS = 86_400_000
CPUCLOCK_SCHED = 2
"""The kernel's number of the clock that counts the CPU time of a process; see `clock_getcpuclockid(3)`."""


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
    command = [sys.executable, "-m", *module]
    starting = server_process(command, stdout=folder / "stdout", stderr=folder / "stderr", environment=environment)
    with ExitStack() as stack:
        with pinned(core):
            server = stack.enter_context(starting)
        yield Server(server.process, str(server.ready()["url"]), token)
