"""How long planned routes are left, and how devices find back, from one task to the next.

    cell = window.add(task)
    ways.after(cell, task, at_ms, window)      # for each task, in order
    ways.close(window)                         # before the window's values are made

A route that leads somewhere is left with a task that was planned for it and ran elsewhere for a reason that lasts: no
network, no answer, no room. From then on seconds in fallback count under the combination of that task, until the next
task that was planned for the same route. Where that one ran as planned, the way back was found, and its time is that
since the route was left first. After `FORGOTTEN_MS` without a task for the route nobody knows whether it was still
left: no second beyond is counted, and no return.

What the application says itself counts instead: seconds of a task that says them are not measured, and a time of return
is taken as it is said.
"""

from reporter.windows.cell import Cell
from reporter.windows.disclosure import ZONES
from reporter.windows.numbers import whole
from reporter.windows.task import Facts, Task
from reporter.windows.task_window import TaskWindow

LASTING = frozenset({"offline", "unreachable", "capacity", "timeout", "error", "cold_model"})
"""The other reasons lie in the task, in a file or in the policy; the next task may be served as planned at once."""

FORGOTTEN_MS = 15 * 60_000
"""A quarter of an hour: long enough for an outage under steady use, short against a person's break."""

MS = 1000


class _Left:
    """A route that is left: since when, up to where its seconds are counted, and the facts of the last task."""

    __slots__ = ("counted_ms", "facts", "is_said", "last_ms", "part_ms", "since_ms")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.part_ms = 0

    def again(self, cell: Cell, task: Task, at_ms: int) -> None:
        """Another task found the route left."""
        self.facts: Facts = cell.facts
        self.is_said = task.seconds_in_fallback is not None
        self.last_ms = self.counted_ms = at_ms

    def forgotten(self, at_ms: int) -> bool:
        """It is too long ago to say anything, or the clock went back behind it."""
        return not self.last_ms <= at_ms < self.last_ms + FORGOTTEN_MS

    def count(self, until_ms: int, window: TaskWindow) -> None:
        """Seconds up to a moment within the window; what is short of a second is kept for the next time."""
        start = max(self.counted_ms, window.start_ms)
        end = min(until_ms, window.end_ms, self.last_ms + FORGOTTEN_MS)
        if end <= start:
            return
        self.counted_ms = end
        if not self.is_said:
            seconds, self.part_ms = divmod(self.part_ms + end - start, MS)
            window.cell(self.facts).seconds += seconds


class WaysBack:
    """The planned routes of one device that are left at present; at most one entry for each zone."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[str, _Left] = {}

    def after(self, cell: Cell, task: Task, at_ms: int, window: TaskWindow) -> None:
        """A task went to `cell` of `window` when it ended at `at_ms`."""
        if not (self._left or cell.fell_back) or cell.planned not in ZONES:
            return
        left = self._left.pop(cell.planned, None)
        if left and not left.forgotten(at_ms):
            left.count(at_ms, window)
        else:
            left = None
        if not cell.fell_back:
            _found_back(left, task, at_ms, window)
        elif cell.facts.fallback_reason in LASTING and task.returned_after_s is None:
            left = left or _Left(at_ms)
            left.again(cell, task, at_ms)
            self._left[cell.planned] = left

    def close(self, window: TaskWindow) -> None:
        """Counts the routes that are left up to the end of the window."""
        for left in self._left.values():
            left.count(window.end_ms, window)


def _found_back(left: _Left | None, task: Task, at_ms: int, window: TaskWindow) -> None:
    """A task ran as planned: where its route was left before, that is over."""
    if left:
        said = task.returned_after_s
        seconds = (at_ms - left.since_ms) // MS if said is None else whole(said)
        window.cell(left.facts).count_return(seconds, canaries=int(task.returned_by_canary is True))
