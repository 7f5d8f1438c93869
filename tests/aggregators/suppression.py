"""The rule of suppression, in full: which cells appear, change, wait or are withheld; pure, over plain rows.

Publication applies it in SQL, over whole cubes at once (`cells.sql` and `suppress.sql` in `aggregators/sql/publish/`);
this is what a reader reads and what the tests hold the SQL against, case by case and as a whole.

Rules:

* **k.** A cell is published once at least k devices are in it. How many are is bounded from below by evidence that
  counts no device twice: distinct pseudonyms, or flags that a device sets once per span for one key. The *greatest* of
  these counts, never their sum, because two of them may speak of the same devices.
* **Late data.** Published values change only by k devices or more at once. What waits is otherwise the difference of
  two published numbers, and so a cell of fewer than k devices.
* **Nothing is taken back.** A published cell stays, whatever is learned later.
* **Bands.** A cube that must not hide a single case says `1 to k-1` in place of its values. Its values appear at k.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["published", "banded", "stays", "waits", "withheld"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one row says about the devices behind it, as `aggregators/sql/tables.sql` describes the columns."""

    device: str | None
    key: Hashable
    key_first: int
    report_first: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it is: its values, whatever they are, and the lower bound of its devices."""

    values: Hashable
    devices: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell as it is published: with the values and bound of its last change, or as a band, with neither."""

    cell: Cell | None


@dataclass(frozen=True, slots=True)
class Round:
    """What one publication does to a cube: the cells that appear or change, and how many it could not show."""

    fresh: Mapping[Hashable, Shown]
    withheld: int
    waiting: int


def lower_bound(rows: Iterable[Evidence]) -> int:
    """At least how many devices are behind the rows of one cell."""
    pseudonyms: set[str] = set()
    key_flags: defaultdict[Hashable, int] = defaultdict(int)
    report_flags: defaultdict[Hashable, int] = defaultdict(int)
    for row in rows:
        if row.device is not None:
            pseudonyms.add(row.device)
        key_flags[row.key] += row.key_first
        report_flags[row.key] += row.report_first
    return max(len(pseudonyms), *key_flags.values(), *report_flags.values(), 0)


def verdict(bound: int, k: int, shown: int | None, *, differs: bool, banded: bool, band_shown: bool) -> Verdict:
    """What happens to a cell; `shown` is the bound with which its values are published, None where they are not.

    `differs` says whether its values are others than the published ones. A k of 0 suppresses nothing.
    """
    if shown is not None:
        if not differs:
            return "stays"
        return "published" if bound - shown >= k else "waits"
    if bound >= k:
        return "published"
    if banded:
        return "stays" if band_shown else "banded"
    return "withheld"


def next_round(
    cells: Mapping[Hashable, Cell], shown: Mapping[Hashable, Shown], *, k: int, banded: bool = False
) -> Round:
    """One publication of one cube, whose cells all have the same k."""
    verdicts = {place: _verdict(cell, shown.get(place), k=k, banded=banded) for place, cell in cells.items()}
    fresh = {place: Shown(cells[place]) for place, what in verdicts.items() if what == "published"}
    bands = {place: Shown(None) for place, what in verdicts.items() if what == "banded"}
    count = Counter(verdicts.values())
    return Round({**fresh, **bands}, withheld=count["withheld"], waiting=count["waits"])


def _verdict(cell: Cell, shown: Shown | None, *, k: int, banded: bool) -> Verdict:
    published = shown.cell if shown else None
    return verdict(
        cell.devices,
        k,
        published.devices if published else None,
        differs=published is None or published.values != cell.values,
        banded=banded,
        band_shown=shown is not None and published is None,
    )
