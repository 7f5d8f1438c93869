"""What a process says about itself beside its work: CPU, memory, how long it runs. Names are OpenTelemetry's.

No name of the machine, the user or the program, and no number of the process: they would tell where a gate runs.
"""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingest.telemetry.metric_list import CPU_TIME, MEMORY_USAGE, UPTIME, Metric
from ingest.telemetry.sources import HistogramRows, Read, Row

STATM = Path("/proc/self/statm")
"""Sizes of this process in pages; the second is what it holds of physical memory (proc(5))."""

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessNumbers:
    """This process, since this object was made."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def reads(self) -> Mapping[Metric, Read]:
        """As `Source.reads`."""
        return {
            CPU_TIME: lambda: [(time.process_time(),)],
            MEMORY_USAGE: _memory,
            UPTIME: lambda: [(time.monotonic() - self._since,)],
        }

    def histograms(self) -> Iterable[tuple[Metric, HistogramRows]]:
        """None."""
        return ()


def _memory() -> Iterable[Row]:
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return []
    return [(pages * PAGE_BYTES,)]
