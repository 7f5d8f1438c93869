"""Processes that die, processes that share a queue, and a disk that is full; each is a real one."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.clock import ManualClock
from reporter.queue import processes
from reporter.queue.unavailable import Unavailable
from tests.reporter.made_up import HOUR_MS, NOW_MS, due, ids, put, queue, report

PATIENCE_SECONDS = 60.0

CHILD = """
import sys, time
from pathlib import Path
from tests.reporter.made_up import NOW_MS, put, queue, report

waiting = queue(Path(sys.argv[1]))
waiting.opened(sys.argv[2], NOW_MS)
print("opened", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    put(waiting, report(start=NOW_MS - 3_600_000, crashes=number), window=sys.argv[2])
print("closed", flush=True)
sys.stdin.readline()
"""


def child(folder: Path, window: str, reports: int) -> subprocess.Popen[str]:
    """A process that opens a window, closes one after another when it is told to, and then waits."""
    command = [sys.executable, "-c", CHILD, str(folder), window, str(reports)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said(process, "opened")
    return process


def said(process: subprocess.Popen[str], word: str) -> None:
    """Wait until the process says so."""
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n"


def told_to_go_on(process: subprocess.Popen[str]) -> None:
    """Let the process do what it does next."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def ended(process: subprocess.Popen[str]) -> None:
    """Kill the process, which the test started, and close its pipes."""
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)


def test_a_window_of_a_process_that_was_killed(tmp_path: Path) -> None:
    """An open window is nobody's loss while its process lives, and is counted once as lost when it has died."""
    waiting = queue(tmp_path)
    waiting.opened("its own", NOW_MS)
    process = child(tmp_path, "a window", 0)
    try:
        assert waiting.sweep() == 0
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
        assert (waiting.sweep(), waiting.sweep()) == (1, 0)
    finally:
        ended(process)
    status = waiting.status()
    assert (status.open_windows, status.totals) == (1, {"windows_closed": 1, "lost.killed": 1})


NAMES = [
    pytest.param(processes.this_process(), False, id="this process"),
    pytest.param(processes.this_process().rpartition("/")[0] + "/1", True, id="a later process of that number"),
    pytest.param("another boot/1/2/3", True, id="before the machine was restarted"),
    pytest.param("/".join([*processes.this_process().split("/")[:1], "1", "2", "3"]), None, id="another container"),
    pytest.param("", None, id="no name of a process"),
]


@pytest.mark.parametrize(("process", "gone"), NAMES)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process was started")
def test_which_processes_are_gone(process: str, gone: bool | None) -> None:
    """A process is known by its boot, its space of numbers, its number and its start."""
    assert processes.is_gone(process) is gone


def test_a_window_of_another_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window whose process cannot be asked for is lost once it is older than a day, and not before."""
    clock = ManualClock(NOW_MS)
    waiting = queue(tmp_path, clock)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(processes, "_space", lambda: "1")
        waiting.opened("a window", NOW_MS - HOUR_MS)
    assert waiting.sweep() == 0
    clock.advance(24 * 3600)
    assert waiting.sweep() == 1


def test_two_processes_on_one_queue(tmp_path: Path) -> None:
    """What two processes put in at the same time is all there, and so is what they remember of it."""
    pair = [child(tmp_path, f"window {number}", 20) for number in range(2)]
    try:
        for process in pair:
            told_to_go_on(process)
        for process in pair:
            said(process, "closed")
        waiting = queue(tmp_path)
        # The ids of both count from one: what is equal is one report.
        assert {int.from_bytes(one) for one in ids(due(waiting))} == set(range(1, 21))
        assert waiting.status().totals == {"windows_closed": 20}
    finally:
        for process in pair:
            ended(process)


@contextmanager
def no_space(folder: Path) -> Iterator[None]:
    """Nothing in this process can make a file grow, for as long as the context lasts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "queue.db").stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_space(tmp_path: Path) -> None:
    """While nothing can be written nothing is half put in; what is given up is counted as soon as it can be."""
    waiting = queue(tmp_path)
    first = report(start=NOW_MS - 2 * HOUR_MS)
    put(waiting, first)
    waiting.opened("third", NOW_MS)
    many = [report() for _ in range(200)]
    with no_space(tmp_path):
        with pytest.raises(Unavailable, match="disk_full"):
            put(waiting, *many)
        assert ids(due(waiting)) == [first.report_id]
        with pytest.raises(Unavailable, match="disk_full"):
            put(waiting, *many)
        with no_journal():
            waiting.give_up("third", "disk_full", reports=6)
            assert waiting.status().open_windows == 1
    put(waiting, *many)
    assert len(due(waiting)) == 201
    status = waiting.status()
    assert (status.open_windows, status.totals) == (0, {"windows_closed": 207, "lost.disk_full": 6})


@contextmanager
def no_journal() -> Iterator[None]:
    """Not even a number can be changed: the journal has no space either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A queue in a place that is gone is unavailable for that reason, and nothing else is raised."""
    waiting = queue(tmp_path / "gone")
    with pytest.raises(Unavailable, match="unwritable"):
        put(waiting, report())
    waiting.give_up("a window", "disk_full")
    (tmp_path / "gone").mkdir()
    put(waiting, report())
    assert waiting.status().totals == {"windows_closed": 2, "lost.disk_full": 1}


def test_a_child_of_a_fork_uses_the_queue(tmp_path: Path) -> None:
    """A forked child and its parent put into the same queue, which neither of them opened for the other."""
    waiting = queue(tmp_path)
    put(waiting, report())
    pid = os.fork()
    if pid == 0:
        report()
        report()  # the parent's reports have these ids
        put(waiting, report())
        os._exit(0)
    put(waiting, report(), report())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert queue(tmp_path).status().totals == {"windows_closed": 4}
