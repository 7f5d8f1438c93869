"""Syncs, and work while a device is offline: what sync_window is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from reporter.windows.rows import Rows
from reporter.windows.sums import Sums
from reporter.windows.telling import Telling, as_said
from reporter.windows.vocabulary import Row, fits, fitted


@dataclass(slots=True, kw_only=True)
class Sync:
    """What happened between a device and one store; `syncs` is 0 where it is told of reads or writes alone."""

    store: str
    memory_route: str
    syncs: int = 1
    conflicts: int = 0
    duplicates_prevented: int = 0
    duplicate_attempts: int = 0
    reads: int = 0
    stale_reads: int = 0
    latency_ms: float | None = None


class SyncWindow:
    """The syncs of one window, and what happened to its offline queue."""

    __slots__ = ("_queue", "_rows")

    def __init__(self) -> None:
        self._rows = Rows("sync_window", ("store", "memory_route"))
        self._queue = Sums()

    def add(self, sync: Sync) -> None:
        """Counts a sync."""
        row = self._rows.of(sync.store, sync.memory_route)
        row.add(
            syncs=sync.syncs,
            conflicts=sync.conflicts,
            duplicates_prevented=sync.duplicates_prevented,
            duplicate_attempts=sync.duplicate_attempts,
            reads=sync.reads,
            stale_reads=sync.stale_reads,
        )
        row.observe(latency=sync.latency_ms)

    def queued(self, depth: int) -> None:
        """So many tasks wait in the offline queue at present."""
        self._queue.peak("queue_depth_peak", depth)

    def left_queue(self, age_s: float) -> None:
        """A task left the offline queue after that time."""
        self._queue.observe(queue_age=age_s)

    def count(self, *, expired: int = 0, replays_asked: int = 0, replays_unasked: int = 0) -> None:
        """Tasks that expired in the queue, and replays that asked for the outcome of the first try or did not."""
        self._queue.add(queue_expired=expired, replays_asked=replays_asked, replays_unasked=replays_unasked)

    def values(self, offline_work: Mapping[str, int], telling: Telling = as_said) -> Row:
        """What a sync_window says below its header; `offline_work` is that of the tasks (`TaskWindow`)."""
        values = {"rows": self._rows.values(telling), **self._queue.values(), **offline_work}
        return fitted(values, fits("sync_window"))
