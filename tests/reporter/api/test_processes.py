"""Applications of several processes: each real, and none of them says what another one observed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reporter.clock import SystemClock
from reporter.directory import Directory
from reporter.queue.queue import Queue
from reporter.reporter import Reporter
from tests.reporter.api.device import decoded
from tests.reporter.borders import keep_away_from_a_border

PATIENCE_SECONDS = 60.0

NOBODY = "http://127.0.0.1:9/t/managed"
"""A port that nobody listens on: what is observed stays in the queue."""

PROGRAM = """
import multiprocessing, os, sys, threading, time
import reporter, reporter.work

# On a busy machine the worker may need longer for its modules, and one task would be given up for it.
reporter.work.STANDS_STILL_SECONDS = 60

def until(condition):
    deadline = time.monotonic() + 30
    while not condition(reporter.status()["queue"] or {}) and time.monotonic() < deadline:
        time.sleep(0.02)

def tasks(number):
    for _ in range(number):
        with reporter.task(planned="edge"):
            pass

def in_threads(threads, number):
    many = [threading.Thread(target=tasks, args=(number,)) for _ in range(threads)]
    for one in many:
        one.start()
    for one in many:
        one.join()

def forked(number):
    child = os.fork()
    if child == 0:
        tasks(number)
        sys.exit(0)
    os.waitpid(child, 0)

def many(how, number):
    context = multiprocessing.get_context(how)
    processes = [context.Process(target=tasks, args=(number,)) for _ in range(2)]
    for one in processes:
        one.start()
    for one in processes:
        one.join()

if __name__ == "__main__":
    tasks(3)
    {then}
"""


def run(folder: Path, then: str) -> subprocess.CompletedProcess[str]:
    """An application that observes three tasks and then something else."""
    Reporter(NOBODY, "token", directory=folder / "device").close(0)
    program = folder / "application.py"
    program.write_text(PROGRAM.replace("{then}", then), encoding="utf-8")
    environment = {**os.environ, "TIDEGATE_REPORTER_DIR": str(folder / "device"), "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        check=False,
    )  # fmt: skip


def queue_of(folder: Path) -> Queue:
    """The queue of the device."""
    return Queue(Directory(folder / "device").queue, clock=SystemClock())


def counted(folder: Path) -> int:
    """The tasks in all queued reports."""
    waiting = [one.queued for one in queue_of(folder).peek(None, 1000)]
    routes = [decoded(one.report, one.message.content) for one in waiting if one.report == "route_window"]
    return sum(row["tasks"] for values in routes for row in values["rows"])


@pytest.mark.parametrize(
    ("then", "tasks"),
    [
        pytest.param("", 3, id="it ends at once"),
        pytest.param("sys.exit(3)", 3, id="it ends with an exit code"),
        pytest.param("in_threads(8, 1000)", 8003, id="threads"),
        pytest.param("tasks(20_000)", 20_003, id="more than the inbox holds"),
        pytest.param("forked(5)", 8, id="fork"),
        pytest.param("time.sleep(1); forked(5); tasks(1)", 9, id="fork when the worker is at work"),
        pytest.param("many('fork', 5)", 13, id="multiprocessing by fork"),
        pytest.param("many('spawn', 5)", 13, id="multiprocessing by spawn"),
        pytest.param("many('forkserver', 5)", 13, id="multiprocessing by fork server"),
        pytest.param("until(lambda queue: queue.get('open_windows')); os._exit(0)", 0, id="it ends without a word"),
    ],
)
def test_every_task_is_counted_once(tmp_path: Path, then: str, tasks: int) -> None:
    """However an application makes its processes, each task is counted once, or its window is known to be open."""
    keep_away_from_a_border(seconds=10)
    done = run(tmp_path, then)
    assert done.stderr == ""
    assert counted(tmp_path) == tasks
    assert queue_of(tmp_path).status().open_windows == (0 if tasks else 1), (
        "a window that seems to be open is lost next"
    )


@pytest.mark.faults
def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """The window of a process that was killed is counted as lost by whoever comes next."""
    keep_away_from_a_border(seconds=10)
    run(tmp_path, "until(lambda queue: queue.get('open_windows')); os.kill(os.getpid(), 9)")
    assert counted(tmp_path) == 0
    run(tmp_path, "until(lambda queue: 'lost.killed' in queue.get('totals', {}))")
    assert queue_of(tmp_path).status().totals["lost.killed"] == 1


def test_a_task_that_its_parent_began(tmp_path: Path) -> None:
    """A task that was begun before a fork and ends on both sides of it is the parent's."""
    then = """
    with reporter.task(planned="edge"):
        child = os.fork()
    if child:
        os.waitpid(child, 0)
"""
    done = run(tmp_path, then.strip())
    assert done.stderr == ""
    assert counted(tmp_path) == 4
