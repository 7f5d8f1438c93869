"""The gate that gives the golden answers: policies as they ship, the example manifest, a known key, a known time.

    python -m tests.wire.golden_gate CLOCK_FILE python -m tidegate serve ...

is what runs in its process: `load.faults.turned_clock`, which turns the clock to the time of the golden reports.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ingest.clock import ManualClock
from ingest.keys import DIRECTORY_NAME, Epoch
from ingest.operator_documents import FILE_NAME, OperatorDocuments
from load.faults import turned_clock
from schemas.catalogue import TIERS_DIRECTORY
from schemas.manifest import load_manifest
from tests.running_gate import DAY_MS, Answer, RunningGate, running_gate
from tests.wire.files import GoldenFile
from tests.wire.values import NOON_MS, NOW_MS

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "schemas" / "examples" / "manifest.toml"

KEY = bytes(range(32))
EPOCH_DAYS = 30

CHECK = "?check=1"


@contextmanager
def golden_gate(folder: Path) -> Iterator[RunningGate]:
    """A gate at the time of the golden reports."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    clock.write_text(str(NOW_MS - time.time_ns() // 1_000_000), encoding="ascii")
    with _gate(folder, [sys.executable, "-m", "tests.wire.golden_gate", str(clock)]) as gate:
        yield gate


@contextmanager
def gate_of_today(folder: Path) -> Iterator[RunningGate]:
    """The same gate at the machine's own time, for senders that look at a clock."""
    with _gate(folder, []) as gate:
        yield gate


@contextmanager
def _gate(folder: Path, wrapper: Sequence[str]) -> Iterator[RunningGate]:
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    _put_manifest(data)
    _put_key(data)
    with running_gate(folder, tiers=TIERS_DIRECTORY, wrapper=wrapper) as gate:
        yield gate


def _put_manifest(data: Path) -> None:
    with closing(OperatorDocuments(data / FILE_NAME, ManualClock(NOON_MS))) as documents:
        documents.put("manifest", load_manifest(MANIFEST).model_dump(mode="json", exclude_defaults=True), in_force_ms=0)


def _put_key(data: Path) -> None:
    """A key on disk of which the index does not know is adopted (docs/adr/0006-pseudonym-keys.md)."""
    epoch = Epoch(EPOCH_DAYS, NOON_MS // (EPOCH_DAYS * DAY_MS))
    place = data / DIRECTORY_NAME / "managed"
    place.mkdir(mode=0o700, parents=True)
    place.parent.chmod(0o700)
    file = place / f"{epoch}.key"
    file.write_bytes(KEY)
    file.chmod(0o600)


def answers(gate: RunningGate, golden: GoldenFile, body: bytes, media_type: str) -> dict[str, Any]:
    """What the gate answers to a body in the place of the golden one, in the form of its answer file."""

    def post(query: str) -> dict[str, Any]:
        sent = {"content-type": media_type}
        return told(gate.post(golden.tier, golden.report, body, query=query, headers=sent))

    return post("") | {"check": post(CHECK)}


def told(answer: Answer) -> dict[str, Any]:
    """Status and document of an answer."""
    return {"status": answer.status, "answer": answer.document}


def main() -> None:
    """Leave out the interpreter and `-m`, which stand where `turned_clock` expects the module."""
    del sys.argv[2:4]
    turned_clock.main()


if __name__ == "__main__":
    main()
