"""Starts small runs of the bench for tests."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 120.0
SEED = 7


def bench(*arguments: str, folder: Path) -> list[str]:
    """The command line of a small run."""
    command = [sys.executable, "-m", "load.bench", "--quick", "--seed", str(SEED), "--folder", str(folder)]
    return [*command, *arguments]


def measured(*parts: str, folder: Path) -> Any:
    """What a small run of some parts prints as JSON; it leaves nothing in `folder`."""
    command = bench("--json", *(word for part in parts for word in ("--only", part)), folder=folder)
    ran = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
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
