"""What a reporter does where its thread, the disk or the gate stands still: the application goes on."""

import atexit
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.clock import ManualClock
from reporter.closing.adding_up import MOST_OVER, AddingUp
from reporter.forking import FORKING
from reporter.observing.inbox import MOST_WAITING, STANDS_STILL_SECONDS, Inbox
from reporter.observing.observation import EndedTask, Observation
from reporter.queue.patience import BUSY_SECONDS, PATIENCE
from reporter.reporter import Reporter
from reporter.survival import Survival
from reporter.worker import LEAST_SECONDS, Ending, Worker
from tests.reporter.api.device import PATIENCE_SECONDS, only_row, reporter_in, sent
from tests.reporter.made_up import NOW_MS
from tests.reporter.sending.made_up_gate import MadeUpGate


def observe(reporter: Reporter, number: int = 1) -> None:
    """So many tasks."""
    for _ in range(number):
        with reporter.task(planned="edge"):
            pass


def counted(gate: MadeUpGate) -> int:
    """The tasks that the gate was told of."""
    return sum(only_row(values)["tasks"] for values in sent(gate, "route_window"))


def closes(reporter: Reporter) -> bool:
    """Whether `close` returns."""
    thread = threading.Thread(target=reporter.close, args=(0.0,), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return not thread.is_alive()


@contextmanager
def fork_held_back() -> Iterator[Callable[[], None]]:
    """Another thread is at the disk, and stays there until the block ends or what this gives is called."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with FORKING.held():
            is_held.set()
            is_over.wait()

    def end() -> None:
        is_over.set()
        thread.join()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    try:
        yield end
    finally:
        end()


def test_closing_waits_for_no_other_thread(tmp_path: Path) -> None:
    """An application ends although another thread of it stands still at the disk."""
    reporter = reporter_in(tmp_path)
    with fork_held_back():
        observe(reporter)
        assert closes(reporter)


def test_modules_that_are_being_loaded_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who came too late to the disk waits on where the thread loads modules, which it may have begun a moment ago."""
    monkeypatch.setattr("reporter.worker.LEAST_SECONDS", 0.05)
    worker = reporter_in(tmp_path)._worker
    assert worker is not None
    with fork_held_back() as end:
        assert not worker._at_disk(lambda: None, 0.0)
        worker._work.is_preparing = True
        monkeypatch.setattr(Worker, "_wait_until_prepared", lambda _: end())
        assert worker._at_disk(lambda: None, 0.0)


def test_closing_waits_for_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes has the time that the application leaves for a file that another process holds, and no more."""
    reporter = reporter_in(tmp_path)
    observe(reporter)
    assert reporter.flush(PATIENCE_SECONDS)
    # The worker's own patience, which nobody waits for here.
    monkeypatch.setattr("reporter.queue.patience.BUSY_SECONDS", 2 * PATIENCE_SECONDS)
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        observe(reporter)
        assert closes(reporter)


def test_patience_is_a_threads_own() -> None:
    """A deadline for files holds in its block and its thread; others are as patient as ever."""
    found: list[float] = []
    with PATIENCE.up_to(0.0):
        thread = threading.Thread(target=lambda: found.append(PATIENCE.seconds()))
        thread.start()
        thread.join()
        assert (PATIENCE.seconds(), found) == (0.0, [BUSY_SECONDS])
    assert PATIENCE.seconds() == BUSY_SECONDS


def test_reporters_share_the_time_at_the_end() -> None:
    """Several reporters of one process do not hold its end up one after the other."""
    ending = Ending()
    first = ending.left(LEAST_SECONDS)
    assert first == LEAST_SECONDS
    assert ending.left(LEAST_SECONDS) < first


def test_a_thread_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the thread dies of an error of ours the next observation starts another one, and the error is counted."""
    died = threading.Event()
    sleep = Worker._sleep

    def die_once(self: Worker, seconds: float) -> None:
        if not died.is_set():
            died.set()
            raise SystemExit
        sleep(self, seconds)

    monkeypatch.setattr(Worker, "_sleep", die_once)
    gate = MadeUpGate()
    reporter = reporter_in(tmp_path, gate)
    observe(reporter)
    assert died.wait(PATIENCE_SECONDS)
    observe(reporter)
    assert reporter.flush(PATIENCE_SECONDS)
    reporter.close()
    assert counted(gate) == 2
    assert reporter.status()["errors"] == {"reporter.worker SystemExit": 1}


def test_a_thread_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, observations wait for one in memory, and nothing grows with each of them."""

    def refused(_: Any) -> None:
        raise RuntimeError

    gate = MadeUpGate()
    reporter = reporter_in(tmp_path, gate)
    before = atexit._ncallbacks()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        assert reporter.flush(PATIENCE_SECONDS) is False
        observe(reporter, 100)
        assert (atexit._ncallbacks(), reporter.status()["waiting"]) == (before, 100)
    assert reporter.status()["errors"] == {}
    reporter._worker._start_at = 0.0  # type: ignore[union-attr]  # a second is over
    assert reporter.flush(PATIENCE_SECONDS)
    reporter.close()
    assert counted(gate) == 100


def test_spans_that_nobody_takes() -> None:
    """Spans that no thread takes are given up from a number on, oldest first, and counted."""
    adding = AddingUp(5)
    for number in range(MOST_OVER + 4):
        task = EndedTask()
        task.at_ms = NOW_MS + number * 300_000
        adding.add(task)
    assert len(adding.all()) == MOST_OVER
    assert adding.given_up == 4


class Busy:
    """Somebody who cannot add up now; `asked` is how often that was tried."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _: Observation) -> bool:
        self.asked += 1
        return False


def test_an_inbox_that_nobody_empties() -> None:
    """What does not fit in is given up and counted; an application waits for it once in a while, not each time."""
    clock, busy = ManualClock(NOW_MS), Busy()
    inbox = Inbox(clock, Survival(lambda: None), wake=lambda: None, add_up=busy)
    for _ in range(MOST_WAITING + 10):
        inbox.put(EndedTask())
    assert (len(inbox), inbox.given_up, busy.asked) == (MOST_WAITING, 10, 1)
    clock.advance(STANDS_STILL_SECONDS)
    inbox.put(EndedTask())
    assert (inbox.given_up, busy.asked) == (11, 2)


def test_an_observation_within_another() -> None:
    """What a signal handler or a finaliser observes while the worker is being woken does not wake it once more."""
    woken: list[int] = []

    def wake() -> None:
        woken.append(len(inbox))
        inbox.put(EndedTask())

    inbox = Inbox(ManualClock(NOW_MS), Survival(lambda: None), wake=wake, add_up=Busy())
    inbox.put(EndedTask())
    assert (woken, len(inbox)) == ([1], 2)
