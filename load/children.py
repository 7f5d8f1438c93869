"""Measurements in a process of their own: one module, run once, on one core, whose one line on stdout is the result.

A process that has done nothing else has a peak of memory that says something. It is ended with the caller, however
that ends.
"""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from load.processes import pinned
from load.started import started

CHARACTERS_OF_AN_ERROR = 1_000


class ChildFailedError(Exception):
    """A measurement failed; the message says which, and what it last wrote on stderr."""


def measured(module: str, *arguments: str, core: int) -> dict[str, Any]:
    """The JSON object that `python -m module` prints; raises `ChildFailedError`."""
    command = [sys.executable, "-m", module, *arguments]
    with ExitStack() as stack:
        with pinned(core):
            # Ctrl-C at a terminal goes to a whole group; this process ends the other one itself.
            running = started(command, end=_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
            process = stack.enter_context(running)
        printed, said = process.communicate()
    if process.returncode:
        raise ChildFailedError(f"{module} failed; it said:\n{said.decode()[-CHARACTERS_OF_AN_ERROR:]}")
    result: dict[str, Any] = json.loads(printed)
    return result


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def peak_bytes() -> int:
    """The most memory that this process has had so far (VmHWM).

    `getrusage` would not do: it begins with the peak of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
