"""`python -m load.offline` as a person runs it."""

import signal
import subprocess
import sys
from pathlib import Path

from load.offline.__main__ import INTERRUPTED
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
    assert "all equal" in said
    assert "cells held against the plain truth" in said
    assert list(within.iterdir()) == []


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
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.iterdir()) == []
