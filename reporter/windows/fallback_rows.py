"""The cells of a window as rows of fallback_window, and how many tasks were planned for each route."""

from collections import Counter
from collections.abc import Iterable, Sequence

from reporter.windows.cell import FALLBACK_DIMENSIONS, Cell
from reporter.windows.folding import Folding, tasks_of
from reporter.windows.histogram import as_posted, joined
from reporter.windows.numbers import rounded_to_two
from reporter.windows.telling import Dimensions, Key
from reporter.windows.vocabulary import Row, fits, fitted

BY = Dimensions("fallback_window", "rows", FALLBACK_DIMENSIONS)


def fallback_rows(cells: Iterable[Cell], folding: Folding) -> list[Row]:
    """The rows of tasks that fell back, folded and rounded."""
    rows = folding.rows(cells, lambda cell: BY.told(cell.fallback_dimensions, folding.telling))
    return [_row(key, parts) for key, parts in rows]


def planned_rows(cells: Iterable[Cell]) -> list[Row]:
    """How many tasks were planned for each route. Never folded."""
    planned: Counter[str] = Counter()
    for cell in cells:
        planned[cell.planned] += cell.tasks
    fit = fits("fallback_window", "planned")
    return [fitted({"planned_route": route, "tasks": tasks}, fit) for route, tasks in sorted(planned.items())]


def _row(key: Key, cells: Sequence[Cell]) -> Row:
    row: Row = {
        **BY.row(key),
        "tasks": tasks_of(cells),
        "succeeded": sum(cell.sums[1] for cell in cells),
        "degraded": tasks_of([cell for cell in cells if cell.facts.degraded]),
        "bytes_moved": rounded_to_two(sum(cell.bytes_moved for cell in cells)),
        "seconds_in_fallback": sum(cell.seconds for cell in cells),
        "returns": sum(cell.returns for cell in cells),
        "canary_returns": sum(cell.canary_returns for cell in cells),
        "return_time": as_posted(joined(cell.return_time for cell in cells)),
    }
    return fitted(row, fits("fallback_window", "rows"))
