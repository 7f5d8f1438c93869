"""The tasks of one window of one device, added up: what route_window and fallback_window are made of.

    window = TaskWindow(start_ms, length_ms)
    window.add(task)                  # as each task ends; the task is not kept
    window.route_values(Folding())    # what a route_window says below its header, presence flags aside
    window.fallback_values(Folding()) # likewise a fallback_window

A window holds one `Cell` for each combination of facts that it met. The words of an application are looked at once for
each combination, when it is met first. Combinations are bounded, and so is what a window takes of memory: tasks beyond
`MOST_CELLS` of them are counted under `other`, but their rules, disclosures and planned routes as ever.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from reporter.reports import OTHER
from reporter.windows.cell import Cell, MixedCell, cell_for
from reporter.windows.disclosure import FAILED_CLOSED
from reporter.windows.fallback_rows import fallback_rows, planned_rows
from reporter.windows.folding import Folding
from reporter.windows.route_rows import route_rows, violation_rows
from reporter.windows.task import Facts, Task, facts_of, repaired
from reporter.windows.vocabulary import LONGEST_NAME, Row

MOST_CELLS = 512
"""A person's hour has a few dozen combinations; a cell takes 1 to 3 KiB, its histograms included."""

MOST_DISCLOSURES = 16
"""The schema has fewer."""


class Decisions(NamedTuple):
    """How many tasks were decided on, how many with a reason on record, and how many said all that a trace needs."""

    tasks: int
    with_reason: int
    complete: int


class TaskWindow:
    """See the top of this module. Times in milliseconds since the epoch, UTC; `length_ms` divides an hour."""

    __slots__ = ("_cells", "length_ms", "start_ms")

    def __init__(self, start_ms: int, length_ms: int) -> None:
        self.start_ms = start_ms
        self.length_ms = length_ms
        self._cells: dict[tuple[Any, ...], Cell] = {}

    @property
    def end_ms(self) -> int:
        """The first moment after the window."""
        return self.start_ms + self.length_ms

    @property
    def tasks(self) -> int:
        """How many tasks were added."""
        return sum(cell.tasks for cell in self._cells.values())

    @property
    def is_offline(self) -> bool:
        """There were tasks, and all of them were handled without a network."""
        return self.tasks > 0 and all(cell.facts.offline for cell in self._cells.values() if cell.tasks)

    def add(self, task: Task) -> Cell:
        """Counts a task that has ended; the cell that it went to is for those who follow it further."""
        try:
            return self._add(task)
        except Exception:  # noqa: BLE001  # an object of an application may raise what it likes
            return self._add(repaired(task))

    def cell(self, facts: Facts) -> Cell:
        """The cell of these facts, which may have no task yet."""
        return self._cells.get(facts) or self._meet(facts)

    def route_values(self, folding: Folding) -> Row:
        """What a route_window says below its header."""
        cells = self._counted()
        return {"rows": route_rows(cells, folding), "violations": violation_rows(cells)}

    def fallback_values(self, folding: Folding) -> Row:
        """What a fallback_window says below its header. A row may have no task: a route that is left since before."""
        fell_back = [cell for cell in self._cells.values() if cell.fell_back]
        return {"rows": fallback_rows(fell_back, folding), "planned": planned_rows(self._counted())}

    def tasks_by(self, facts: Sequence[str]) -> dict[tuple[Any, ...], int]:
        """How many tasks there were of each combination of these facts, in the words of the schemas."""
        counted: Counter[tuple[Any, ...]] = Counter()
        for cell in self._counted():
            counted[tuple(getattr(cell.facts, fact) for fact in facts)] += cell.tasks
        return dict(counted)

    def decisions(self) -> Decisions:
        """What a trace_window counts of these tasks."""
        cells = self._counted()
        return Decisions(
            tasks=sum(cell.tasks for cell in cells),
            with_reason=sum(cell.tasks for cell in cells if cell.facts.decision_reason != OTHER),
            complete=sum(cell.tasks for cell in cells if OTHER not in cell.facts and cell.facts.policy_version),
        )

    def offline_work(self) -> dict[str, int]:
        """What a sync_window counts of these tasks."""
        offline = [cell for cell in self._cells.values() if cell.facts.offline]
        central = [cell for cell in offline if cell.facts.authority == "needs_central"]
        return {
            "offline_tasks": sum(cell.tasks for cell in offline),
            "offline_succeeded": sum(cell.sums[1] for cell in offline),
            "offline_central": sum(cell.tasks for cell in central if cell.facts.actual_route not in FAILED_CLOSED),
        }

    def _counted(self) -> list[Cell]:
        return [cell for cell in self._cells.values() if cell.tasks]

    def _add(self, task: Task) -> Cell:
        cell = self._cells.get(facts_of(task)) or self._meet(Facts._make(facts_of(task)))
        cell.count(task)
        return cell

    def _meet(self, facts: Facts) -> Cell:
        """The cell for facts that were not met before in these words."""
        cell = cell_for(facts)
        key: tuple[Any, ...] = facts if all(map(_may_be_held, facts)) else cell.facts
        if len(self._cells) >= MOST_CELLS:
            key = cell.planned, cell.fell_back, cell.facts.offline, cell.facts.degraded
            cell = MixedCell(cell)
        return self._cells.setdefault(key, cell)


def _may_be_held(said: Any) -> bool:
    """What could be a fact. Long texts are no names, and an object of an application is not kept from being freed."""
    if type(said) is str:
        return len(said) <= LONGEST_NAME
    if type(said) is frozenset:
        return len(said) <= MOST_DISCLOSURES and all(type(word) is str and len(word) <= LONGEST_NAME for word in said)
    return said is None or type(said) is bool
