"""Cells: what a list of rows adds up to in one span, tier and combination of dimensions.

A `Row` is one row of one report as the tier lets it through, with the presence flags that the device set. A `Cell` is
the sum of the rows that fall into it, and the least number of devices that they prove: the greatest of

- the distinct pseudonyms among them,
- for one combination of a row's own dimensions: the reports with a row of it that carries the device's flag "my first
  of this combination", of those in which the gate altered no such dimension and dropped no name of no schema,
- for one combination: the reports with a row of it that carry the flag "my first report of this type".
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal, NamedTuple

Grain = Literal["hour", "day"]

GRAINS: tuple[Grain, ...] = ("hour", "day")

NONE = "none"
"""What an absent dimension reads."""


class Window(NamedTuple):
    """One report that a device made: which device, which type of report, and where its window begins (ms)."""

    device: int
    report: str
    start: int


class Flags(NamedTuple):
    """One presence flag by grain."""

    hour: bool
    day: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of one report, after the tier's policy. `key` is its combination, `device` stands for its pseudonym."""

    window: Window
    hour: int
    tier: str
    device: int | None
    key: Hashable
    dims: Mapping[str, str]
    counts: Mapping[str, int]
    key_first: Flags
    report_first: Flags
    observed: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a published cell may show, the raw observations behind its percentiles, and the proven devices."""

    values: Mapping[str, int]
    observations: Mapping[str, list[int]]
    devices: int


class CubeName(NamedTuple):
    """One cube of a measure at one grain; `tier` is a dimension of each and not named."""

    measure: str
    dims: tuple[str, ...]
    grain: Grain


CellKey = tuple[int | str, ...]
"""(beginning of the span in ms, tier, dimensions in the cube's order)."""

Cells = dict[CellKey, Cell]

Truth = dict[CubeName, Cells]


@dataclass(frozen=True, slots=True)
class Part:
    """Some cubes of a measure that are made of the same rows. It sums `values` and gathers what was `observed`."""

    measure: str
    cubes: tuple[tuple[str, ...], ...]
    rows: Sequence[Row] = field(repr=False)
    values: tuple[str, ...]
    observed: tuple[str, ...] = ()
    grains: tuple[Grain, ...] = GRAINS


DAY_MS = 86_400_000


def fold(parts: Iterable[Part]) -> Truth:
    """All cells of all cubes."""
    return {
        CubeName(part.measure, dims, grain): {key: _cell(group, part, grain) for key, group in groups.items()}
        for part in parts
        for dims in part.cubes
        for grain, groups in _by_grain(part.rows, dims).items()
        if grain in part.grains
    }


Groups = dict[CellKey, list[Row]]


def _by_grain(rows: Iterable[Row], dims: tuple[str, ...]) -> dict[Grain, Groups]:
    """The rows of each hour and cell, and of each day and cell."""
    named = _named(dims)
    hours: Groups = defaultdict(list)
    for row in rows:
        hours[row.hour, row.tier, *named(row.dims)].append(row)
    days: Groups = defaultdict(list)
    for (hour, *rest), group in hours.items():
        days[int(hour) // DAY_MS * DAY_MS, *rest] += group
    return {"hour": hours, "day": days}


def _named(dims: tuple[str, ...]) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    """A function from a row's dimensions to those of the cube, always as a tuple."""
    if not dims:
        return lambda _: ()
    if len(dims) == 1:
        (only,) = dims
        return lambda values: (values[only],)
    return itemgetter(*dims)


def _cell(rows: list[Row], part: Part, grain: Grain) -> Cell:
    return Cell(
        values={name: sum([row.counts[name] for row in rows]) for name in part.values},
        observations={name: [seen for row in rows for seen in row.observed.get(name, ())] for name in part.observed},
        devices=devices(rows, grain),
    )


def devices(rows: list[Row], grain: Grain) -> int:
    """The least number of distinct devices that the rows prove."""
    pseudonyms = {row.device for row in rows}
    if None not in pseudonyms:  # a device sets no flag twice, so where all have pseudonyms no flags can prove more
        return len(pseudonyms)
    place = GRAINS.index(grain)
    combinations = Counter([key for key, _ in {(row.key, row.window) for row in rows if row.key_first[place]}])
    reports = Counter([key for key, _ in {(row.key, row.window) for row in rows if row.report_first[place]}])
    return max(len(pseudonyms - {None}), *combinations.values(), *reports.values(), 0)
