"""Runs a module with a clock that can be turned while it runs: what the gate takes for the time of day.

    python -m load.faults.turned_clock OFFSET_FILE tidegate serve --data ./data

The file holds milliseconds to add, and is read whenever the time is asked for; nothing, or no file, is 0. The clock
that never goes back (`monotonic`) stays as it is, as on a machine whose time somebody sets.
"""

import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ingest.clock import SystemClock


def offset_ms(file: Path) -> int:
    """What the file says now."""
    try:
        return int(file.read_text(encoding="ascii") or 0)
    except FileNotFoundError:
        return 0


def turned(file: Path) -> Callable[[SystemClock], int]:
    """`SystemClock.now_ms` of a clock that goes by the file."""

    def now_ms(clock: SystemClock) -> int:
        del clock
        return time.time_ns() // 1_000_000 + offset_ms(file)

    return now_ms


def main() -> None:
    """Turn the clock, then become the module named."""
    file, module = Path(sys.argv[1]), sys.argv[2]
    setattr(SystemClock, "now_ms", turned(file))  # noqa: B010  # mypy takes an assignment for a mistake
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
