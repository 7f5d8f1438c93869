"""When the log cannot be written: 503 and never 202, nothing half-written, and all is well once the cause is gone.

Real causes: a limit of the kernel on what the process may write, a lock held by another process, a disk of 4 MB.
"""

import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ingest.log.sqlite_file import FILE_NAME
from ingest.readiness import CHECK_EVERY_SECONDS
from ingest.records import GATES_OWN
from tests.end_to_end.reports import Reports
from tests.end_to_end.wire import assert_refused
from tests.running_gate import RunningGate, eventually, running_gate, tier_files
from tidegate.settings import LOG_DIRECTORY

LEAST_FILE_BYTES = 4_000
"""Less than one page of the log, and more than the few lines that the gate writes on stderr meanwhile."""

BETWEEN_CHECKS_SECONDS = 0.9 * CHECK_EVERY_SECONDS
"""At least; the timers of two processes need not agree to the millisecond."""


@contextmanager
def unwritable(gate: RunningGate) -> Iterator[None]:
    """No file of the gate can grow beyond 4 kB, for as long as the context lasts."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux lets one process limit another")
    before = resource.prlimit(gate.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gate.process.pid, resource.RLIMIT_FSIZE, (LEAST_FILE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.prlimit(gate.process.pid, resource.RLIMIT_FSIZE, before)


def keys(gate: RunningGate, directory: Path | None = None) -> Counter[bytes]:
    """How often each report_id is in the log; every value has to decode."""
    entries = [entry for entry in gate.entries(directory) if entry.topic not in GATES_OWN]
    for entry in entries:
        gate.decoded(entry)
    return Counter(entry.key for entry in entries)


@pytest.mark.faults
def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """While the log cannot be written posts get 503 and the gate is not ready; then both recover by themselves."""
    accepted: Counter[bytes] = Counter()
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        reports = Reports(gate.catalogue)

        def post() -> bool:
            report_id = reports.report()["report_id"]
            answer = gate.post("managed", "route_window", reports.message(report_id=report_id))
            accepted.update([report_id] if answer.status == 202 else [])
            if answer.status != 202:
                assert_refused(answer, "log_unavailable", gate.catalogue, status=503, action="retry")
            return answer.status == 202

        def ready() -> bool:
            return gate.get("/readyz").status == 200

        eventually(ready, "the gate is ready")
        assert post()
        started = time.monotonic()
        with unwritable(gate):
            assert not post()
            eventually(lambda: not ready(), "the gate is not ready")
            # One failed check is not enough, and the next one comes so much later.
            assert time.monotonic() - started >= BETWEEN_CHECKS_SECONDS
            assert gate.get("/healthz").status == 200
            assert [post() for _ in range(5)] == [False] * 5
            repaired = time.monotonic()
        eventually(post, "the log takes reports again")
        eventually(ready, "the gate is ready again")
        assert time.monotonic() - repaired >= BETWEEN_CHECKS_SECONDS
        assert [event["ready"] for event in gate.events("readiness_changed")] == [1, 0, 1]
        gate.stop()
        assert keys(gate) == accepted


def test_a_log_that_somebody_else_has_locked(tmp_path: Path) -> None:
    """A log that does not answer is waited for a while, then the sender is told to retry, and the retry is stored."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        message = Reports(gate.catalogue).message(report_id=b"a retried report")
        with closing(sqlite3.connect(gate.data / LOG_DIRECTORY / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = gate.post("managed", "route_window", message)
            other.execute("ROLLBACK")
        reason = answer.document["reason"]
        # Both limits are five seconds: whether SQLite or the gate gives up first is not certain.
        assert reason in {"log_unavailable", "in_doubt"}
        assert_refused(answer, reason, gate.catalogue, status=503, action="retry")
        eventually(lambda: gate.post("managed", "route_window", message).status == 202, "the retry is stored")
        assert keys(gate)[b"a retried report"] >= 1


SMALL_DISK = (
    "unshare", "--map-root-user", "--mount", "sh", "-c",
    'mount -t tmpfs -o size=4m tmpfs "$0" && head -c 2000000 /dev/zero > "$0/ballast" && exec "$@"',
)  # fmt: skip


@pytest.mark.faults
def test_a_full_disk(tmp_path: Path) -> None:
    """On a full disk a post gets 503 for want of space and nothing of it is kept, until there is space again."""
    disk = tmp_path / "data" / LOG_DIRECTORY
    disk.mkdir(parents=True)
    wrapper = [*SMALL_DISK, str(disk)]
    if not shutil.which("unshare") or subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk; the other tests of this module run everywhere")
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers"), wrapper=wrapper) as gate:
        # The disk is mounted for the gate alone; this is the way to it from outside.
        inside = Path(f"/proc/{gate.process.pid}/root{disk}")
        reports, accepted = Reports(gate.catalogue), set()
        for number in range(2000):
            report_id = number.to_bytes(16)
            answer = gate.post("managed", "route_window", reports.message(report_id=report_id, attributes={}))
            if answer.status != 202:
                break
            accepted.add(report_id)
        else:
            pytest.fail("the disk was never full")
        assert_refused(answer, "storage_full", gate.catalogue, status=503, action="retry")
        (inside / "ballast").unlink()
        last = reports.report()["report_id"]
        message = reports.message(report_id=last)
        eventually(lambda: gate.post("managed", "route_window", message).status == 202, "there is space again")
        accepted.add(last)
        # SQLite does not find its way through /proc, and the disk is gone with its process: so a copy, as of a crash.
        gate.process.send_signal(signal.SIGSTOP)
        shutil.copytree(inside, tmp_path / "kept")
        gate.process.kill()
    assert keys(gate, tmp_path / "kept") == Counter(accepted)
