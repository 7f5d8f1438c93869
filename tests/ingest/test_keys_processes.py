"""Pseudonym keys between processes: one key however many ask at once, and none in between after a crash."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.clock import SystemClock
from ingest.keys import KEY_BYTES, MS_PER_DAY, Epoch, Keyring
from ingest.problems import Rejected

WINDOW_MS = int(datetime(2026, 11, 21, 8, tzinfo=UTC).timestamp() * 1000)
EPOCH = Epoch(30, WINDOW_MS // (30 * MS_PER_DAY))
FILE = Path("managed") / f"{EPOCH}.key"
DEADLINE_SECONDS = 60.0
CRASHED = 9

CRASH_AT = """
import io, os, pathlib, sys
from pathlib import Path

operation, directory, at = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
from ingest.clock import SystemClock
from ingest.keys import Epoch, Keyring
import ingest.keys, ingest.state_file

steps = 0
def crash_before(function):
    def step(*arguments, **named):
        global steps
        steps += 1
        if steps == at:
            os._exit(9)
        return function(*arguments, **named)
    return step

for name in ("open", "write", "fsync", "close"):
    setattr(os, name, crash_before(getattr(os, name)))
for name in ("hardlink_to", "unlink", "mkdir", "read_bytes"):
    setattr(Path, name, crash_before(getattr(Path, name)))

class Connection:
    def __init__(self, connection):
        self.connection = connection
    def execute(self, *arguments):
        return crash_before(self.connection.execute)(*arguments)
    def __enter__(self):
        return self.connection.__enter__()
    def __exit__(self, *error):
        crash_before(lambda: None)()
        left = self.connection.__exit__(*error)
        crash_before(lambda: None)()
        return left
    def close(self):
        self.connection.close()

opened = ingest.keys.open_state
ingest.keys.open_state = lambda *arguments, **named: Connection(opened(*arguments, **named))

keyring = Keyring(directory, SystemClock())
window = int(sys.argv[4])
if operation == "make":
    print(keyring.key("managed", 30, window).hex(), flush=True)
else:
    keyring.destroy("managed", Epoch(30, window // (30 * 86_400_000)))
"""

KEY_AT_THE_SAME_MOMENT = """
import sys, time
from pathlib import Path
from ingest.clock import SystemClock
from ingest.keys import Keyring
directory = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(Keyring(directory, SystemClock()).key("managed", 30, int(sys.argv[2])).hex(), flush=True)
"""

DESTROY_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from ingest.clock import SystemClock
from ingest.keys import Epoch, Keyring
Keyring(Path(sys.argv[1]), SystemClock()).destroy("managed", Epoch(30, int(sys.argv[2])))
"""


def answer(keyring: Keyring) -> str:
    """The key of managed in hexadecimal, or the reason of the refusal."""
    try:
        return keyring.key("managed", 30, WINDOW_MS).hex()
    except Rejected as refusal:
        return refusal.reason.value


def reopened(directory: Path) -> str:
    """What a new process would be told."""
    keyring = Keyring(directory, SystemClock())
    try:
        return answer(keyring)
    finally:
        keyring.close()


def test_another_process_destroys(tmp_path: Path) -> None:
    """A running keyring notices a destruction that another process made, by the real clock."""
    directory = tmp_path / "keys"
    keyring = Keyring(directory, SystemClock())
    assert len(answer(keyring)) == 2 * KEY_BYTES
    command = [sys.executable, "-c", DESTROY_IN_ANOTHER_PROCESS, str(directory), str(EPOCH.number)]
    subprocess.run(command, check=True, timeout=DEADLINE_SECONDS)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (told := answer(keyring)) != "epoch_closed" and time.monotonic() < deadline:
        time.sleep(0.02)
    keyring.close()
    assert told == "epoch_closed"


def test_gates_that_start_together_agree(tmp_path: Path) -> None:
    """Processes that need a never-made key at the same moment, index included, all get the same one."""
    command = [sys.executable, "-c", KEY_AT_THE_SAME_MOMENT, str(tmp_path / "keys"), str(WINDOW_MS)]
    gates = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # closed below
        for _ in range(6)
    ]
    for gate in gates:
        assert gate.stdout is not None
        assert gate.stdout.readline() == "ready\n"
    for gate in gates:
        assert gate.stdin is not None
        gate.stdin.write("\n")
        gate.stdin.flush()
    keys = [gate.communicate(timeout=DEADLINE_SECONDS)[0].strip() for gate in gates]
    assert set(keys) == {reopened(tmp_path / "keys")}
    assert len(keys[0]) == 2 * KEY_BYTES


def crash(operation: str, directory: Path, at: int) -> subprocess.CompletedProcess[str]:
    """Run an operation in a process that dies before its `at`-th step on disk."""
    return subprocess.run(
        [sys.executable, "-c", CRASH_AT, operation, str(directory), str(at), str(WINDOW_MS)],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )


def crash_everywhere(operation: str, directory: Path) -> Iterator[tuple[Path, str]]:
    """The directory and what was printed, after a crash at each step in turn; ends with the run that had no crash."""
    for at in range(1, 100):
        case = directory / f"{operation}-{at}"
        Keyring(case, SystemClock()).close()
        if operation == "destroy":
            assert len(reopened(case)) == 2 * KEY_BYTES
        run = crash(operation, case, at)
        assert run.returncode in {0, CRASHED}, run.stderr
        yield case, run.stdout.strip()
        if run.returncode == 0:
            assert at > 5, "the steps were not counted"
            return
    pytest.fail("the operation has no end")


@pytest.mark.faults
def test_a_crash_while_making_leaves_one_usable_key(tmp_path: Path) -> None:
    """Wherever the making of a key is cut off, the epoch is usable, its key stays, and is the one handed out."""
    for case, printed in crash_everywhere("make", tmp_path):
        left = (case / FILE).read_bytes().hex() if (case / FILE).exists() else ""
        key = reopened(case)
        assert len(key) == 2 * KEY_BYTES, case
        assert printed in ("", key), case
        assert left in ("", key), case
        assert reopened(case) == key, case


@pytest.mark.faults
def test_a_crash_while_destroying_leaves_the_key_or_a_closed_epoch(tmp_path: Path) -> None:
    """Wherever a destruction is cut off, the epoch has its old key or is closed for ever with the file erased."""
    told = []
    for case, _ in crash_everywhere("destroy", tmp_path):
        before = (case / FILE).read_bytes().hex() if (case / FILE).exists() else ""
        answered = reopened(case)
        told.append(answered)
        assert answered in (before, "epoch_closed"), case
        assert (case / FILE).exists() == (answered != "epoch_closed"), case
    assert told[0] != "epoch_closed"
    assert told[-1] == "epoch_closed"
