"""Whether two rollups say the same, and whether they say the truth. Both as texts, empty where all is well."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import duckdb

from aggregators.publication.measure import Cube, Grain, Measure
from aggregators.publication.measures import load_measures
from aggregators.publication.publish import unsuppressed
from aggregators.rollups.rollups import Rollups
from load.fleet.findings import Findings
from load.fleet.truth_cells import Part, fold
from load.fleet.truth_fallbacks import fallback_parts
from load.fleet.truth_inventory import inventory_parts
from load.fleet.truth_routes import route_parts
from load.fleet.truth_rows import kept_rows
from load.fleet.verdict import compare_cube
from load.offline.fleet import let_out, together
from load.offline.lives import read
from load.offline.replay import ROLLUPS

if TYPE_CHECKING:
    from load.fleet.nouns import Fleet

MOST_WRONG = 40


def untrue(data: Path, fleets: Sequence[Path]) -> tuple[list[str], int]:
    """How every cube of the rollups in `data` differs from the plain truth about the fleet; and how many cells it has.

    The truth is made cube by cube, for the cells of ten thousand devices are many.
    """
    fleet = together([cast("Fleet", read(file)) for file in fleets])
    rows = kept_rows(fleet, let_out)
    parts = [*route_parts(rows, fleet.prices), *fallback_parts(rows), *inventory_parts(rows, fleet.manifest)]
    measures, findings = load_measures(), Findings()
    with _open(data) as connection:
        for name, cells in (found for part in parts for one in _cube_by_cube(part) for found in fold([one]).items()):
            compare_cube(connection, measures[name.measure], name, cells, findings)
    named = {part.measure for part in parts}
    return findings.mismatches(sorted(named)), findings.compared.total()


def _cube_by_cube(part: Part) -> Iterator[Part]:
    for dims in part.cubes:
        for grain in part.grains:
            yield replace(part, cubes=(dims,), grains=(grain,))


def different(data: Path, other: Path) -> tuple[list[str], int]:
    """In which cubes the rollups in two directories differ, down to every bucket; and how many cells are the same.

    What is counted by the time of receipt is no matter of the windows, and left out.
    """
    wrong: list[str] = []
    cells = 0
    with _open(data) as left, _open(other) as right:
        for measure, cube, grain in _cubes():
            ours, theirs = (unsuppressed(connection, measure, cube, grain) for connection in (left, right))
            cells += ours.num_rows
            if not ours.equals(theirs):
                wrong.append(
                    f"{measure.name} [{cube.name}] {grain}: {ours.num_rows} and {theirs.num_rows} cells differ"
                )
    return wrong[:MOST_WRONG], cells


def _cubes() -> Iterator[tuple[Measure, Cube, Grain]]:
    for measure in load_measures().values():
        if measure.basis == "window":
            for cube in measure.cubes:
                for grain in cube.grains:
                    yield measure, cube, grain


@contextmanager
def _open(data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(Rollups.open(data / ROLLUPS)) as rollups, rollups.cursor() as connection:
        yield connection
