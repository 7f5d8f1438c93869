"""I6 of memory: what a drained process holds, held against what young ones held.

Two things that come and go are no growth, and are kept out of it:

* DuckDB's allocator gives pages back a second after they were free, and only when it is asked for others, so that an
  idle process still holds what its last publication took: 250 MiB after sixty rounds, of which DuckDB used 30. Gates
  of the schedule are started with an allocator that gives them back at once (`GIVES_BACK` in `gate.py`);
* DuckDB keeps what it read of its file, up to its memory limit. It can keep no more than there is: the length of the
  file and of its write-ahead log is allowed on top.

What is left is held against two young processes: the first one of the directory after its first round, and, every few
rounds, one that has just begun on the same data.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from load.faults.evidence import DATABASE
from load.faults.gate import GateProcess
from load.faults.verdict import Violation

MEMORY_BYTES = 128 << 20
"""A process of 54 rounds of few reports held 150 MiB, and 90 after its first: what libraries keep levels off, at 35 MiB
more, and what a publication needs follows the data."""

CALM_SECONDS = 10.0
"""A publication may be under way at the first look, and be over at a later one."""


class Memory:
    """Watches the processes of one data directory, one after the other."""

    def __init__(self, rollups: Path) -> None:
        self._rollups = rollups
        self._first: int | None = None
        self._newest = 0

    def violations(self, gate: GateProcess) -> Iterator[Violation]:
        """What a drained process holds more than the first one did, where that is too much."""
        self._newest = self._held(gate)
        if self._first is None:
            self._first = gate.own_bytes()
        yield from _grown(self._newest, self._first, "the first one after its first round")

    def violations_beside(self, young: GateProcess) -> Iterator[Violation]:
        """What the process of the last look held more than one that has just begun on the same data, and drained."""
        yield from _grown(self._newest, young.own_bytes(), "one that has just begun on the same data")

    def _held(self, gate: GateProcess) -> int:
        """Bytes less what DuckDB may keep of its file; where that is too much, the least of several looks."""
        deadline = time.monotonic() + CALM_SECONDS
        least = self._less_cached(gate)
        while self._first is not None and least > self._first + MEMORY_BYTES and time.monotonic() < deadline:
            time.sleep(0.1)
            least = min(least, self._less_cached(gate))
        return least

    def _less_cached(self, gate: GateProcess) -> int:
        return gate.own_bytes() - sum(file.stat().st_size for file in self._rollups.glob(f"{DATABASE}*"))


def _grown(held: int, young: int, what: str) -> Iterator[Violation]:
    if held > young + MEMORY_BYTES:
        yield Violation("I6", f"the process holds {(held - young) >> 20} MiB more than {what}")
