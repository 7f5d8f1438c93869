"""The rule of publication, said once more and as short as it can be: what of the truth an answer may show.

A cell appears when at least k devices are proven to be in it. What was published changes only when k more have come:
the difference of two published numbers would otherwise speak of fewer. A day has cells only once it is over. Whoever
asks is told how many cells are missing and how many wait. The silent fallbacks of F2 are never hidden: below k they
read "1 to k-1".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from load.fleet.truth_cells import Cell, CellKey, CubeName, Truth
from load.fleet.truth_fallbacks import F2_VIOLATIONS

DAY_MS = 86_400_000

BANDED = {("F2", dims) for dims in F2_VIOLATIONS}


class Withheld(NamedTuple):
    """Cells of one cube and tier that are not shown, and published ones whose late data wait."""

    cells: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Published:
    """What answers may show. A cell whose number of devices alone is told, as a band, is None in `cells`."""

    cells: dict[CubeName, dict[CellKey, Cell | None]] = field(default_factory=dict)
    withheld: dict[tuple[CubeName, str], Withheld] = field(default_factory=dict)


def publish(phases: Iterable[Truth], k: Mapping[str, int], *, complete_to: Iterable[int]) -> Published:
    """What is published after each of `phases` was, in turn; each holds all that had arrived by then. `k` by tier.

    `complete_to` has one time (ms) for each of them: the hour in which it was published has begun then.
    """
    published = Published()
    for truth, until in zip(phases, complete_to, strict=True):
        for name, cells_of_all in truth.items():
            shown = published.cells.setdefault(name, {})
            cells = _over(name, cells_of_all, until)
            missing = [_publish_cell(name, key, cell, shown, k[str(key[1])]) for key, cell in cells.items()]
            tiers = {str(key[1]) for key in cells}
            for tier in tiers:
                of_tier = [what for key, what in zip(cells, missing, strict=True) if key[1] == tier]
                published.withheld[name, tier] = Withheld(of_tier.count("withheld"), of_tier.count("waiting"))
    return published


def _over(name: CubeName, cells: Mapping[CellKey, Cell], until: int) -> Mapping[CellKey, Cell]:
    """Without the days that are not over; hours are published open as well."""
    if name.grain == "hour":
        return cells
    return {key: cell for key, cell in cells.items() if int(key[0]) + DAY_MS <= until}


def _publish_cell(name: CubeName, key: CellKey, cell: Cell, shown: dict[CellKey, Cell | None], k: int) -> str:
    """Shows the cell if that is allowed, and says what is kept back."""
    before = shown.get(key)
    if before is not None and _reads(before) == _reads(cell):
        return "nothing"
    if cell.devices - (before.devices if before else 0) >= k:
        shown[key] = cell
        return "nothing"
    if before is not None:
        return "waiting"
    if (name.measure, name.dims) in BANDED:
        shown[key] = None
        return "nothing"
    return "withheld"


def _reads(cell: Cell) -> tuple[Mapping[str, int], dict[str, list[int]]]:
    return cell.values, {name: sorted(seen) for name, seen in cell.observations.items()}
