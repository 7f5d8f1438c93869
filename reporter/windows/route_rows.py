"""The cells of a window as rows of route_window, and the rules that their tasks broke."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reporter.windows.cell import SUMMED, Cell
from reporter.windows.folding import Folding, tasks_of
from reporter.windows.histogram import as_posted, joined
from reporter.windows.numbers import rounded_to_two, whole
from reporter.windows.task import DIMENSIONS
from reporter.windows.telling import Dimensions, Key
from reporter.windows.vocabulary import Row, fits, fitted

ROUNDED = ("tokens_in", "tokens_out", "bytes_sent")
BY = Dimensions("route_window", "rows", DIMENSIONS)


def route_rows(cells: Iterable[Cell], folding: Folding) -> list[Row]:
    """The rows, folded and rounded."""
    rows = folding.rows(cells, lambda cell: BY.told(cell.dimensions, folding.telling))
    return [_row(key, parts) for key, parts in rows]


def violation_rows(cells: Iterable[Cell]) -> list[Row]:
    """How many tasks broke each rule. Never folded."""
    fit = fits("route_window", "violations")
    return [fitted({"rule": rule, "tasks": tasks}, fit) for rule, tasks in _in_order(cell.broken() for cell in cells)]


def _row(key: Key, cells: Sequence[Cell]) -> Row:
    sums = dict(zip(SUMMED, map(sum, zip(*(cell.sums for cell in cells), strict=True)), strict=True))
    row: Row = {
        **BY.row(key),
        **sums,
        "tasks": tasks_of(cells),
        "offline": tasks_of([cell for cell in cells if cell.facts.offline]),
        "degraded": tasks_of([cell for cell in cells if cell.facts.degraded]),
        "disclosures": [
            {"disclosure": told, "tasks": tasks} for told, tasks in _in_order(cell.disclosed() for cell in cells)
        ],
        "latency": as_posted(joined(cell.latency for cell in cells)),
        "first_token": as_posted(joined(cell.first_token for cell in cells)),
    }
    row |= {name: rounded_to_two(whole(sums[name])) for name in ROUNDED}
    return fitted(row, fits("route_window", "rows"))


def _in_order(counted: Iterable[Mapping[str, int]]) -> list[tuple[str, int]]:
    """The sums of counts by symbol."""
    sums: Counter[str] = Counter()
    for counts in counted:
        sums.update(counts)
    return sorted(sums.items())
