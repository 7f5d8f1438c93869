"""A span of time in which one process adds up what it observes: a window of every report at once.

Spans lie on the grid that a tier asks for, which begins anew with each hour, so that none reaches over one.
"""

from os import urandom
from typing import Any, TypeVar

from reporter.windows.capability_window import CapabilityWindow
from reporter.windows.health_window import HealthWindow
from reporter.windows.inventory_window import InventoryWindow
from reporter.windows.path_window import PathWindow
from reporter.windows.stability_window import StabilityWindow
from reporter.windows.sync_window import SyncWindow
from reporter.windows.task_window import TaskWindow
from reporter.windows.trace_window import TraceWindow

MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000

REPORT_ID_BYTES = NAME_BYTES = 16

W = TypeVar("W", CapabilityWindow, HealthWindow, InventoryWindow, PathWindow, StabilityWindow, SyncWindow, TraceWindow)


class Span:
    """From `start_ms` up to `end_ms`, UTC. `consents` are those that stood when it began.

    `name` is its marker in the queue while it is open; `is_marked` once it has one there.
    """

    __slots__ = (
        "_others", "_report_ids", "consents", "end_ms", "first_ms", "is_marked", "last_ms", "name", "start_ms", "tasks",
    )  # fmt: skip

    def __init__(self, at_ms: int, minutes: int, consents: frozenset[str]) -> None:
        self.start_ms, self.end_ms = bounds(at_ms, minutes)
        self.first_ms = self.last_ms = at_ms
        self.consents = consents
        self.name = urandom(NAME_BYTES).hex()
        self.is_marked = False
        self.tasks = TaskWindow(self.start_ms, self.end_ms - self.start_ms)
        self._others: dict[type[Any], Any] = {}
        self._report_ids: dict[str, bytes] = {}

    def window(self, kind: type[W]) -> W:
        """The window of that kind, made when it is first asked for."""
        found = self._others.get(kind)
        if found is None:
            found = self._others[kind] = kind()
        return found

    def report_id(self, report: str) -> bytes:
        """The id of its report of that type: the same again where closing is tried again."""
        return self._report_ids.setdefault(report, urandom(REPORT_ID_BYTES))

    def has(self, kind: type[Any]) -> bool:
        """Whether anything was added to the window of that kind."""
        return kind in self._others

    def saw(self, at_ms: int) -> None:
        """Something was added that happened then."""
        if at_ms > self.last_ms:
            self.last_ms = at_ms
        elif self.start_ms <= at_ms < self.first_ms:
            self.first_ms = at_ms

    def cut_to(self, minutes: int) -> None:
        """Ends at the next border of a finer grid, and begins no earlier than what was added asks for."""
        start, _ = bounds(self.first_ms, minutes)
        _, end = bounds(self.last_ms, minutes)
        if end - start < self.end_ms - self.start_ms:
            self.start_ms = self.tasks.start_ms = start
            self.end_ms = end
            self.tasks.length_ms = end - start


def bounds(at_ms: int, minutes: int) -> tuple[int, int]:
    """Where the span lies that holds a time; the last of an hour is shorter where the others do not divide it."""
    hour = at_ms - at_ms % MS_PER_HOUR
    length = minutes * MS_PER_MINUTE
    start = at_ms - (at_ms - hour) % length
    return start, min(start + length, hour + MS_PER_HOUR)
