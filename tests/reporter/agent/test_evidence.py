"""What a device keeps for its owner: closed words and whole hours, counted once, for a month, whatever happens."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ingest.clock import ManualClock
from reporter import evidence
from reporter.clock import Clock, SystemClock
from reporter.directory import Directory
from reporter.evidence import DIMENSIONS, KEPT_DAYS, MS_PER_DAY, MS_PER_HOUR, Evidence
from reporter.observing.running_task import RunningTask
from reporter.parts import MakesParts, Parts, SettingsNow
from reporter.queue.unavailable import Unavailable
from reporter.reports import schema
from reporter.windows.task import Task
from reporter.windows.task_window import TaskWindow
from tests.reporter.api.device import Bench, parts_with
from tests.reporter.made_up import NOW_MS

ROOT = Path(__file__).resolve().parents[3]
SEED = 20261121
STAYED = ("on_device", "on_device", "default", "none", "not_required", "disclosed", "internal")
LEFT = ("on_device", "managed_cloud", "default", "timeout", "granted", "disclosed", "internal")


@pytest.fixture
def kept(tmp_path: Path) -> Evidence:
    """The evidence of a device on which nothing happened yet."""
    return Evidence(tmp_path / "evidence.db", clock=ManualClock(NOW_MS))


def tasks(of: Evidence) -> int:
    """All tasks that the evidence has."""
    return sum(one.tasks for one in of.since(0))


def test_it_adds_up_by_the_hour(kept: Evidence) -> None:
    """Windows of one hour are added up, those of another stay apart."""
    kept.add("a", NOW_MS, {STAYED: 3, LEFT: 1})
    kept.add("b", NOW_MS + 300_000, {STAYED: 4})
    kept.add("c", NOW_MS - 1, {LEFT: 2})
    found = [(one.hour_ms, one.actual_route, one.tasks) for one in kept.since(0)]
    assert found == [
        (NOW_MS - MS_PER_HOUR, "managed_cloud", 2),
        (NOW_MS, "on_device", 7),
        (NOW_MS, "managed_cloud", 1),
    ]
    assert kept.begun_ms() == NOW_MS


def test_the_same_window_again_counts_once(kept: Evidence) -> None:
    """A window that had to be closed twice is counted once."""
    kept.add("a", NOW_MS, {STAYED: 3})
    kept.add("a", NOW_MS, {STAYED: 3})
    assert tasks(kept) == 3


@pytest.mark.parametrize(
    ("moved_ms", "left"),
    [
        pytest.param(0, 5, id="now"),
        pytest.param(KEPT_DAYS * MS_PER_DAY, 5, id="to the hour"),
        pytest.param(KEPT_DAYS * MS_PER_DAY + MS_PER_HOUR, 0, id="a month and an hour"),
        pytest.param(-2 * MS_PER_DAY, 0, id="a clock that was two days ahead"),
    ],
)
def test_it_is_kept_for_a_month(kept: Evidence, tmp_path: Path, moved_ms: int, left: int) -> None:
    """What lies further back than was promised, or ahead, is not told, and is not in the file after the next window."""
    kept.add("a", NOW_MS, {STAYED: 5})
    later = Evidence(tmp_path / "evidence.db", clock=ManualClock(NOW_MS + moved_ms))
    assert tasks(later) == left
    later.add("b", NOW_MS + moved_ms, {LEFT: 1})
    assert tasks(later) == left + 1
    connection = sqlite3.connect(tmp_path / "evidence.db")
    assert connection.execute("SELECT sum(tasks) FROM tasks").fetchone() == (left + 1,)
    connection.close()


def test_it_is_bounded(kept: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is too much, the oldest hours go."""
    monkeypatch.setattr(evidence, "MOST_ROWS", 3)
    for hours in range(6):
        kept.add(str(hours), NOW_MS - (6 - hours) * MS_PER_HOUR, {STAYED: 1})
    assert len(kept.since(0)) == 4
    assert kept.since(0)[-1].hour_ms == NOW_MS - MS_PER_HOUR


def test_a_damaged_file_is_begun_anew(kept: Evidence, tmp_path: Path) -> None:
    """What cannot be read costs what was in it, and not the next window."""
    kept.add("a", NOW_MS, {STAYED: 5})
    (tmp_path / "evidence.db").write_bytes(b"x" * 5000)
    kept.add("b", NOW_MS, {LEFT: 1})
    assert [(one.actual_route, one.tasks) for one in kept.since(0)] == [("managed_cloud", 1)]


def test_a_newer_file_is_left_alone(kept: Evidence, tmp_path: Path) -> None:
    """A file that a newer program wrote is not touched."""
    kept.add("a", NOW_MS, {STAYED: 5})
    with sqlite3.connect(tmp_path / "evidence.db") as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    before = (tmp_path / "evidence.db").read_bytes()
    with pytest.raises(Unavailable, match="newer"):
        kept.add("b", NOW_MS, {LEFT: 1})
    assert (tmp_path / "evidence.db").read_bytes() == before


def test_it_can_be_forgotten(kept: Evidence, tmp_path: Path) -> None:
    """After its owner said so nothing of it is in any file."""
    kept.add("a", NOW_MS, {LEFT: 5})
    assert kept.forget() == 1
    assert (kept.since(0), kept.begun_ms()) == ([], None)
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"granted" not in content


def test_only_its_owner_may_read_it(kept: Evidence, tmp_path: Path) -> None:
    """The file is made with 0600, whatever the umask."""
    kept.add("a", NOW_MS, {STAYED: 1})
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


PROGRAM = """
import sys
from pathlib import Path
from reporter.clock import SystemClock
from reporter.evidence import Evidence
clock = SystemClock()
kept = Evidence(Path(sys.argv[1]), clock=clock)
for at in range(20):
    kept.add(f"{sys.argv[2]}-{at}", clock.now_ms(), {tuple(sys.argv[3:]): 2})
"""


def test_many_processes(tmp_path: Path) -> None:
    """Processes that close windows at once all count, from the first moment on."""
    path = tmp_path / "evidence.db"
    many = [subprocess.Popen([sys.executable, "-c", PROGRAM, path, str(one), *STAYED], cwd=ROOT) for one in range(4)]
    assert [one.wait(60) for one in many] == [0] * 4
    assert tasks(Evidence(path, clock=SystemClock())) == 4 * 20 * 2


def test_words_are_of_closed_lists(kept: Evidence) -> None:
    """Whatever an application says, evidence has words of the schemas in it and nothing else."""
    print(f"seed {SEED}")
    random = Random(SEED)
    window = TaskWindow(NOW_MS, MS_PER_HOUR)
    for _ in range(2000):
        task = Task()
        for name in (*DIMENSIONS, "model", "served_region"):
            said = ["on_device", "granted", "default", "ada@example.org", "ünknown", "x" * 300, 5, None, True, ["a"]]
            setattr(task, name, random.choice(said))
        window.add(task)
    kept.add("a", NOW_MS, window.tasks_by(DIMENSIONS))
    allowed = {
        field.name: field.symbols
        for report in ("route_window", "fallback_window")
        for field in schema(report).by_path["rows"].fields
    }
    assert tasks(kept) == 2000
    assert not [one for one in kept.since(0) for name in DIMENSIONS if getattr(one, name) not in allowed[name]]


def with_evidence(bench: Bench) -> MakesParts:
    """The parts of a bench, and evidence as the usual parts have it."""

    def make(directory: Directory, settings: SettingsNow, clock: Clock) -> Parts:
        parts = parts_with(bench.gate)(directory, settings, clock)
        return replace(parts, evidence=Evidence(directory.evidence, clock=clock))

    return make


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An application on a device that keeps evidence."""
    made = Bench(tmp_path)
    made.work._make = with_evidence(made)
    return made.knows_policy()


def fall_back(task: RunningTask) -> None:
    """It runs in a cloud instead."""
    task.fell_back("timeout", consent="granted", disclosed=True)
    task.ran_on("managed_cloud", model="big-model-of-nobody")


def test_the_library_writes_it(bench: Bench, tmp_path: Path) -> None:
    """An application without an agent tells its device's owner what it did, when a window closes."""
    bench.task()
    bench.task(fall_back, decision_reason="default")
    bench.round()
    kept = Evidence(bench.directory.evidence, clock=bench)
    assert tasks(kept) == 0
    bench.work.close_all()
    assert [one for one in kept.since(0) if one.actual_route == "managed_cloud"] == [(NOW_MS, *LEFT, 1)]
    assert tasks(kept) == 2
    assert b"big-model-of-nobody" not in (tmp_path / "evidence.db").read_bytes()


def test_closing_that_has_to_be_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that the queue takes at the second time only is in the evidence once."""
    queue = bench.work.parts().queue
    bench.task()
    bench.round()

    def full(_: str) -> None:
        raise Unavailable("disk_full")

    with monkeypatch.context() as patched:
        patched.setattr(queue, "closing", full)
        bench.work.close_all()
        assert bench.work.trouble == "disk_full"
    bench.work.close_all()
    assert bench.queued()
    assert tasks(Evidence(bench.directory.evidence, clock=bench)) == 1


def test_evidence_that_cannot_be_kept(bench: Bench) -> None:
    """Reports are made although the evidence cannot be written."""
    bench.directory.evidence.mkdir()
    bench.task()
    bench.round()
    bench.work.close_all()
    assert {one.report for one in bench.queued()} >= {"route_window", "trace_window"}
    assert not bench.survival.errors
