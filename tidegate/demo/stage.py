"""The place of a demonstration: a directory of its own, tokens, the fleet's documents, and the product in a child."""

import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.access.tokens import EVERY_TIER, ROLES, TokenStore
from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.clock import SystemClock
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import OperatorDocuments
from load.fleet.nouns import Fleet
from schemas.catalogue import load_catalogue
from tidegate.child_gate import ChildGate, child_gate, signals
from tidegate.demo.logs import DemoLog, demo_log

DAY_MS = 86_400_000
DATA = "data"

PUBLISH_ON_REQUEST = ("--publish-every-seconds", "0")
"""While the fleet posts, the demonstration says itself when to publish, so that it knows what may be shown."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A directory that is removed at the end; `devices` are tokens by tier, `readers` by role."""

    directory: Path
    log: DemoLog
    devices: Mapping[str, str]
    readers: Mapping[str, str]

    @property
    def data(self) -> Path:
        """The data directory of the product."""
        return self.directory / DATA

    @property
    def lines(self) -> Path:
        """What the product logs."""
        return self.directory / "tidegate.log"

    def token_file(self, whose: str) -> Path:
        """The file with the token of a tier or role."""
        return self.directory / f"{whose}.token"

    @contextmanager
    def product(self, *more: str) -> Iterator[ChildGate]:
        """`tidegate serve` on a free port; raises `ServerFailed`."""
        with child_gate(self.data, stderr=self.lines, more=[*self.log.options, *more]) as product:
            yield product


@contextmanager
def stage(fleet: Fleet, *, kafka: str | None) -> Iterator[Stage]:
    """A stage for `fleet`, whose manifest and prices are in force from its first hour on; `kafka` as `demo_log`.

    Raises `CannotDemonstrate`.
    """
    directory = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    try:
        with demo_log(kafka, directory, directory / DATA) as log:
            made = _prepared(directory, fleet, log)
            for whose, token in {**made.devices, **made.readers}.items():
                file = made.token_file(whose)
                file.touch(mode=0o600)
                file.write_text(token + "\n", encoding="ascii")
            yield made
    finally:
        with signals(signal.SIG_IGN):  # an impatient second Ctrl-C must not leave half of it behind
            shutil.rmtree(directory, ignore_errors=True)


def _prepared(directory: Path, fleet: Fleet, log: DemoLog) -> Stage:
    clock, data = SystemClock(), directory / DATA
    with closing(TokenStore(data / TOKENS_FILE, clock)) as store:
        devices = {
            tier: store.new(tier=tier, kind="class", label="demo", lifetime_ms=DAY_MS).text
            for tier in load_catalogue().tiers
        }
        readers: dict[str, str] = {
            role: store.new(tier=EVERY_TIER, kind=role, label="demo", lifetime_ms=DAY_MS).text for role in ROLES
        }
    with closing(OperatorDocuments(data / OPERATOR_FILE, clock)) as documents:
        documents.put("manifest", dict(fleet.manifest), fleet.start_ms)
        documents.put("prices", dict(fleet.prices), fleet.start_ms)
    return Stage(directory, log, devices, readers)
