"""`python -m load.offline` as a person runs it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from load.offline import __main__ as command
from load.offline.__main__ import INTERRUPTED, NOT_EQUAL, NOT_FINISHED, main
from load.offline.run import Found
from load.offline.wire import Rejections
from tests.load.running_bench import PATIENCE_SECONDS, children, until


def _command(folder: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "load.offline", "--seed", "9", "--processes", "2", "--folder", str(folder)]
    return [*command, *arguments]


def test_small_run_is_all_equal(folder: Path) -> None:
    """A few devices over two days end well, with every comparison made and nothing left behind."""
    within = folder / "small"
    within.mkdir()
    command = _command(within, "--devices", "6", "--days", "2", "--tasks", "8")
    ran = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    said = ran.stdout.decode()
    assert ran.returncode == 0, said + ran.stderr.decode()
    assert said.splitlines()[-1] == "equal: true"
    assert "compared: online with the plain truth about every task" in said
    assert "compared: offline, replayed 3 times, with online, bucket by bucket" in said
    assert list(within.iterdir()) == []


def test_what_differs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong has a line of its own, the last line is `equal: false`, and the exit code says so too."""
    monkeypatch.setattr(command, "run", lambda *_, **__: Found(wrong=["R1 [route] hour: 3 and 2 cells differ"]))
    assert main(["--devices", "1", "--folder", str(tmp_path)]) == NOT_EQUAL
    said = capsys.readouterr().out.splitlines()
    assert "WRONG  R1 [route] hour: 3 and 2 cells differ" in said
    assert said[-1] == "equal: false"


def test_run_that_cannot_be_finished_is_not_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refusal in the middle is told with the seed, and nothing is said of what was not compared."""

    def refused(*_: object, **__: object) -> Found:
        raise Rejections("managed/route_window: window_too_old")

    monkeypatch.setattr(command, "run", refused)
    assert main(["--devices", "1", "--seed", "4", "--folder", str(tmp_path)]) == NOT_FINISHED
    out, said = capsys.readouterr()
    assert "seed 4 could not be finished: managed/route_window: window_too_old" in said
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends every process and removes the devices' directories."""
    command = _command(tmp_path, "--devices", "400")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0) as running:
        until(lambda: list(tmp_path.glob("*/devices.*/*")))
        started = children(running.pid)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == INTERRUPTED
    assert b"interrupted" in said
    assert len(started) >= 2
    # multiprocessing's own process notices a moment later that it has nobody left to work for.
    until(lambda: not [pid for pid in started if Path(f"/proc/{pid}").exists()])
    assert list(tmp_path.iterdir()) == []
