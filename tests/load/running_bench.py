"""Starts small runs of the bench for tests."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 600.0
"""A small run takes seconds; on a machine with other things to do, minutes."""

SEED = 7

TURNED_AWAY = b"a server answered 503"


def bench(*arguments: str, folder: Path) -> list[str]:
    """The command line of a small run."""
    command = [sys.executable, "-m", "load.bench", "--quick", "--seed", str(SEED), "--folder", str(folder)]
    return [*command, *arguments]


def measured(*parts: str, folder: Path) -> Any:
    """What a small run of some parts prints as JSON; it leaves nothing in `folder`."""
    command = bench("--json", *(word for part in parts for word in ("--only", part)), folder=folder)

    def run() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)

    ran = run()
    if ran.returncode == 1 and TURNED_AWAY in ran.stderr:
        # An append has only so many seconds: after a machine stood still for longer, a gate is right to turn somebody
        # away, and the bench is right to take no figures from such a run. What is asked here needs one without.
        print(ran.stderr.decode())
        ran = run()
    assert ran.returncode == 0, ran.stderr.decode()
    assert list(folder.iterdir()) == []
    return json.loads(ran.stdout)


def until(condition: Callable[[], Any]) -> None:
    """Return once the condition holds; fail the test where it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
