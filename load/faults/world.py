"""What lives through many rounds: a data directory, its policies and tokens, and the gate that runs on it now.

The kind of log is a seam: `World` knows how to start a gate over it, how to read it, and which disks it is on.
`kafka_world.py` has the other kind.
"""

import asyncio
import re
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

from ingest.access.tokens import EVERY_TIER, Kind, TokenStore
from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.clock import SystemClock
from ingest.log import LogReader
from ingest.log.embedded import EmbeddedLog, EmbeddedLogReader
from ingest.report import Entry
from load.faults.gate import GateFailed, GateProcess
from load.faults.made import TIERS
from load.faults.turned_clock import offset_ms
from load.faults.verdict import Processes
from load.started import uninterrupted
from schemas.catalogue import TIERS_DIRECTORY, Catalogue, load_catalogue

PUBLISH_EVERY_SECONDS = 2
REBUILD_SECONDS = 120.0
TOKEN_MS = 30 * 86_400_000
NO_LIMITS = {"requests_per_second": "100000.0", "burst": "100000", "concurrency": "1000", "since": "9999-01-01"}
"""The tiers as they ship, but nobody is turned away for their rate, nor for a field whose day comes."""


class World(ABC):
    """See the module."""

    name: str
    readers_lag_seconds = 0.0
    """How long a reader may still see less than what was acknowledged, once a fault has ended."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.tiers = folder / "tiers"
        self.clock = folder / "clock"
        _copy_tiers(self.tiers)
        self.catalogue: Catalogue = load_catalogue(tiers=self.tiers)
        self.tokens: Mapping[str, str] = {tier: _token(self.data, tier, "device") for tier in TIERS}
        self.operator = _token(self.data, EVERY_TIER, "operator")
        self.auditor = _token(self.data, EVERY_TIER, "auditor")
        self.poison = 0
        self._gate: GateProcess | None = None
        self._beside: GateProcess | None = None
        self._only: Sequence[str] = ()
        self._failpoints = ""
        self._closed = False
        self._stopped = 0
        self.killed_at: list[float] = []
        """When each gate that was killed was found gone, on the clock that never goes back."""

        self.lacking: Counter[tuple[str, str]] = Counter()
        """As in `Processes`."""

    @property
    def gate(self) -> GateProcess:
        """The gate that runs; raises `GateFailed` where none does."""
        if self._gate is None:
            raise GateFailed("no gate runs")
        return self._gate

    @property
    def runs(self) -> bool:
        """Whether there is a gate that has not ended by itself."""
        return self._gate is not None and self._gate.alive

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it takes requests; None while nobody does."""
        gate = self._gate
        return gate.address if gate is not None and gate.url else None

    @property
    def processes(self) -> Processes:
        return Processes(self._stopped, len(self.killed_at), self.lacking)

    def now(self) -> int:
        """What the gate takes for the time, milliseconds since the epoch."""
        return time.time_ns() // 1_000_000 + offset_ms(self.clock)

    def turn_clock(self, by_ms: int) -> None:
        """Set the gate's clock forward or back."""
        turned = self.clock.with_suffix(".new")
        turned.write_text(str(offset_ms(self.clock) + by_ms), encoding="ascii")
        turned.replace(self.clock)

    def start(self, failpoints: str = "", *, only: Sequence[str] = ()) -> None:
        """Start a gate where none runs. One that comes by its failpoint before it is ready has killed itself.

        `only` are further options.
        """
        self._failpoints, self._only = failpoints, only
        uninterrupted(self._begin)
        gate = self.gate
        try:
            if self._closed:  # looked at behind the start: whoever closes before that ends what is there then
                raise GateFailed("the run has ended")  # the process is ended below
            gate.wait_until_ready()
        except BaseException:  # whatever it was, it goes on; only the process must not stay behind
            by_itself = gate.process.poll() == -signal.SIGKILL
            gate.kill()
            self._gate = None
            if failpoints and by_itself and not self._closed:
                self.killed_at.append(time.monotonic())
                return
            raise

    def _begin(self) -> None:
        self._gate = GateProcess(self.folder, [*self.settings(), *self._only], failpoints=self._failpoints)

    def stop(self) -> None:
        """End the gate in good order; raises `GateFailed` where it does not."""
        gate, self._gate = self.gate, None
        code = gate.stop()
        if code != 0:
            raise GateFailed(f"the gate ended with {code}:\n{gate.last_words()}")
        self._stopped += 1

    def ended(self) -> None:
        """Take note that the gate ended in good order by a signal that somebody else sent."""
        gate, self._gate = self.gate, None
        gate.kill()  # it is gone already; this is for what was held to talk with it
        self._stopped += 1

    def kill(self) -> None:
        """End the gate as a power switch would; raises `GateFailed` where it has ended by itself."""
        gate, self._gate = self._gate, None
        if gate is None:
            return
        if not gate.alive and not self._by_failpoint(gate):
            raise GateFailed(f"a gate ended by itself, with {gate.process.returncode}:\n{gate.last_words()}")
        gate.kill()
        self.killed_at.append(time.monotonic())

    def _by_failpoint(self, gate: GateProcess) -> bool:
        """Whether a gate that has ended did what it was armed for."""
        return bool(self._failpoints) and gate.process.returncode == -signal.SIGKILL

    def ensure(self, failpoints: str = "") -> None:
        """A gate runs, with these failpoints and no others."""
        if self._gate is not None and self._gate.alive and self._failpoints == failpoints:
            return
        if self._gate is not None and self._gate.alive:
            self.stop()
        self.revive(failpoints)

    def revive(self, failpoints: str = "") -> None:
        """A gate runs; one that was stopped goes on, one that was killed is replaced.

        Raises `GateFailed` where it ended by itself: nothing that is injected gives it leave to.
        """
        if self._gate is not None:
            self._gate.signal(signal.SIGCONT)
            if self._gate.alive:
                return
            self.kill()
        self.start(failpoints)

    def close(self) -> None:
        """End whatever runs; nothing starts any more, on no thread."""
        self._closed = True
        for gate in (self._gate, self._beside):
            if gate is not None:
                gate.kill()

    # --- A second process ------------------------------------------------------------------------------------------

    @property
    def data_beside(self) -> Path:
        """The data directory of a second process; in that of the first, so that it is searched with it."""
        return self.data / "beside"

    @cached_property
    def tokens_beside(self) -> Mapping[str, str]:
        """As `tokens`, of a second gate."""
        return {tier: _token(self.data_beside, tier, "device") for tier in TIERS}

    @cached_property
    def operator_beside(self) -> str:
        """As `operator`, of a second process."""
        return _token(self.data_beside, EVERY_TIER, "operator")

    @property
    def beside(self) -> GateProcess:
        """The second process; raises `GateFailed` where none runs."""
        if self._beside is None:
            raise GateFailed("no second process runs")
        return self._beside

    def start_beside(self, *options: str) -> None:
        """Start a second process with a data directory of its own, where none runs."""

        def begin() -> None:
            self._beside = GateProcess(self.folder, [*self.settings(self.data_beside), *options])

        uninterrupted(begin)
        try:
            if self._closed:  # as in `start`
                raise GateFailed("the run has ended")
            self.beside.wait_until_ready()
        except BaseException:  # whatever it was, it goes on; only the process must not stay behind
            self.end_beside()
            raise

    def end_beside(self) -> None:
        """End a second process that takes no reports, at once."""
        beside, self._beside = self._beside, None
        if beside is not None:
            beside.kill()

    def kill_beside(self) -> None:
        """As `kill`, of a second gate."""
        if not self.beside.alive:
            raise GateFailed(f"a second gate ended by itself, with {self.beside.process.returncode}")
        self.end_beside()
        self.killed_at.append(time.monotonic())

    def stop_beside(self) -> None:
        """As `stop`, of a second gate."""
        beside, self._beside = self.beside, None
        if (code := beside.stop()) != 0:
            raise GateFailed(f"the second gate ended with {code}:\n{beside.last_words()}")
        self._stopped += 1

    def settings(self, data: Path | None = None) -> Sequence[str]:
        """The options of `tidegate serve`."""
        return [
            *("--data", str(data or self.data), "--port", "0", "--tiers", str(self.tiers), "--settle-seconds", "0"),
            *("--publish-every-seconds", str(PUBLISH_EVERY_SECONDS)),
            *self.log_settings(),
        ]

    def disks(self) -> Mapping[str, Path]:
        """Every directory that anything of a report may have come to."""
        return {"data": self.data}

    def rebuild(self) -> None:
        """Make the rollups anew, while no gate runs; raises `GateFailed`."""
        command = [sys.executable, "-m", "tidegate", "rebuild", *self.rebuild_settings(), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=REBUILD_SECONDS, check=False)  # noqa: S603
        if done.returncode:
            raise GateFailed(f"tidegate rebuild ended with {done.returncode}: {done.stderr[-500:]}")

    def rebuild_settings(self) -> Sequence[str]:
        """The options of `tidegate rebuild`."""
        return ["--data", str(self.data), "--tiers", str(self.tiers)]

    async def repair(self) -> None:  # noqa: B027  # nothing is under most logs
        """Whatever is under the log runs again; called before the gate is brought back."""

    @abstractmethod
    def log_settings(self) -> Sequence[str]:
        """The options that say which log."""

    def log_beside(self) -> Sequence[str]:
        """The options of a second follower that say which log."""
        return ()

    @abstractmethod
    def reader(self) -> LogReader:
        """A reader of the log, to be closed by the caller."""

    @abstractmethod
    async def write_by_hand(self, entries: Sequence[Entry]) -> None:
        """Append what no gate would; called while no gate runs."""


class EmbeddedWorld(World):
    """The log of one machine: SQLite, in the data directory."""

    name = "embedded"

    def log_settings(self) -> Sequence[str]:
        return ("--log", "embedded")

    def log_beside(self) -> Sequence[str]:
        self.data_beside.mkdir(mode=0o700, exist_ok=True)
        if not (log := self.data_beside / "log").is_symlink():
            log.symlink_to(self.log_directory)
        return ()

    @property
    def log_directory(self) -> Path:
        return self.data / "log"

    def reader(self) -> LogReader:
        return EmbeddedLogReader(self.log_directory)

    async def write_by_hand(self, entries: Sequence[Entry]) -> None:
        log = EmbeddedLog(self.log_directory)
        try:
            await log.append(entries)
        finally:
            await log.close()


async def run_on_thread(work: Callable[[], object]) -> None:
    """`work` while the clients go on; it is not cancelled in the middle."""
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, work))


def _token(data: Path, tier: str, kind: Kind) -> str:
    with closing(TokenStore(data / TOKENS_FILE, SystemClock())) as store:
        return store.new(tier=tier, kind=kind, label="faults", lifetime_ms=TOKEN_MS).text


def _copy_tiers(folder: Path) -> None:
    if folder.exists():
        return
    shutil.copytree(TIERS_DIRECTORY, folder)
    for file in folder.glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        for name, value in NO_LIMITS.items():
            text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        file.write_text(text, encoding="utf-8")
