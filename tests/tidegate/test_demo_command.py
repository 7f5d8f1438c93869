"""`tidegate demo`: a first look that ends as it began, with nothing left behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running_gate import PATIENCE_SECONDS, eventually, tier_files

DEMO = (sys.executable, "-m", "tidegate", "demo")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This environment with its temporary directories in `folder`."""
    return {**os.environ, "TMPDIR": str(folder), "COLUMNS": "100", **more}


def gate_pids(folder: Path) -> list[int]:
    """The gates that run on a data directory in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if b"serve" in command and str(folder).encode() in command:
            found.append(int(process.name))
    return found


def test_once_tells_the_story_and_cleans_up(tmp_path: Path) -> None:
    """Posts, answers, what was kept, the log and next steps without a gate are told; nothing is left behind."""
    # Settings of a gate of the caller's own must not reach this one.
    wrong = environment(tmp_path, TIDEGATE_PORT="no number", TIDEGATE_DATA="/nowhere")
    done = subprocess.run([*DEMO, "--once"], env=wrong, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for part in (
        "202, 1 accepted",
        "202, 2 accepted",
        "number 2 rejected: truncated",
        "422 field_refused at user_email",
        "422 report_not_allowed",
        "422 window_crosses_hour at window_end",
        "pseudonymised: device_id",
        "tidegate.managed.route_window.v1/0",
        "its directory is removed",
        "Where to look next",
        "schema show trace_window --example",
    ):
        assert part in done.stdout
    steps = done.stdout.partition("Where to look next")[2]
    assert [gone for gone in ("--data", "curl", "http://", str(tmp_path)) if gone in steps] == []
    assert "\x1b" not in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert gate_pids(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serves_until_it_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    """Without --once the gate answers and the suggested command works until a signal; then all of it is gone."""
    output = tmp_path / "output"
    folder = tmp_path / "temporary"
    folder.mkdir()
    with output.open("wb") as stdout:
        process = subprocess.Popen(DEMO, env=environment(folder), stdout=stdout, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: b"goes on until Ctrl-C" in output.read_bytes(), "the demonstration was told")
        assert len(gate_pids(folder)) == 1
        suggested = re.search(r"-m tidegate (strip byod .*)", output.read_text("utf-8"))
        assert suggested is not None
        command = [sys.executable, "-m", "tidegate", *suggested[1].split()]
        command += ["--tiers", str(tier_files(tmp_path / "tiers"))]  # refusals that do not depend on the day
        stripped = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        assert "What goes, and why" in stripped.stdout
        assert "log tail --data" in output.read_text("utf-8")
    finally:
        process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert list(folder.iterdir()) == []
    assert gate_pids(folder) == []


def test_gate_that_dies(tmp_path: Path) -> None:
    """A gate that ends by itself ends the demonstration with 1 and its last log lines, and nothing is left."""
    output = tmp_path / "output"
    folder = tmp_path / "temporary"
    folder.mkdir()
    with output.open("wb") as stdout:
        process = subprocess.Popen(DEMO, env=environment(folder), stdout=stdout, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: b"goes on until Ctrl-C" in output.read_bytes(), "the demonstration was told")
        [gate] = gate_pids(folder)
        os.kill(gate, signal.SIGKILL)
        assert process.wait(PATIENCE_SECONDS) == 1
    finally:
        process.kill()
        process.wait()
    assert "Error: the gate ended by itself" in output.read_text("utf-8")
    assert list(folder.iterdir()) == []
