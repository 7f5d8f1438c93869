"""Whether the product tells the truth: its rollups before anything is withheld, and its answers after.

- `internal_mismatches` opens nothing and asks nobody: it is handed a connection to the DuckDB file, which one process
  may have open at a time, so this is for after `tidegate serve` has ended;
- `answers_mismatches` asks a running `tidegate serve` what anyone may ask (`load.fleet.answers_verdict`).

Both return a list of short texts, empty where all is as it should be. They name measures, cubes and dimensions of the
made-up fleet, and no device.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

import duckdb

from aggregators.publication.measure import Cube, Grain, Measure
from aggregators.publication.measures import load_measures
from aggregators.publication.publish import unsuppressed
from load.fleet.answers_verdict import answers_mismatches
from load.fleet.asking import Asked
from load.fleet.findings import Findings, Percentile, Row
from load.fleet.truth_cells import CellKey, Cells, CubeName, Truth
from load.fleet.truth_remarks import Receipts, Remarks

__all__ = ["Asked", "answers_mismatches", "internal_mismatches"]

PERCENTS = (50, 95, 99)

ZEROS, UNDERFLOW, OVERFLOW = -1000, -999, 1000
"""Buckets that stand for what the histogram does not tell apart."""


def internal_mismatches(
    connection: duckdb.DuckDBPyConnection, truth: Truth, *, remarks: Remarks, receipts: Mapping[str, Receipts]
) -> list[str]:
    """How the rollups differ from the truth of all that arrived, every cell of every cube."""
    measures = load_measures()
    findings = Findings()
    for name, cells in truth.items():
        compare_cube(connection, measures[name.measure], name, cells, findings)
    for measure in measures.values():
        _unknown_cubes(measure, truth, findings)
    _compare_remarks(connection, measures["A1"], remarks, findings)
    _compare_receipts(connection, measures["A3"], receipts, findings)
    return findings.mismatches(measures)


def compare_cube(
    connection: duckdb.DuckDBPyConnection, measure: Measure, name: CubeName, cells: Cells, findings: Findings
) -> None:
    """One cube of the rollups against its true cells."""
    expected = {key: _as_counted(cell.values, cell.observations, cell.devices) for key, cell in cells.items()}
    got = _cells(connection, measure, name)
    findings.rows(name.measure, f"[{', '.join(name.dims)}] {name.grain}", expected, got)


def _as_counted(values: Mapping[str, int], observations: Mapping[str, list[int]], devices: int) -> Row:
    row: dict[str, Any] = {**values, "devices": devices}
    for name, seen in observations.items():
        row[f"{name} count"] = len(seen)
        row |= {f"{name} p{percent}": Percentile(tuple(seen), percent) for percent in PERCENTS}
    return row


def _unknown_cubes(measure: Measure, truth: Truth, findings: Findings) -> None:
    """A cube that the truth knows nothing of would never be compared."""
    if measure.basis == "window":
        for cube in measure.cubes:
            for grain in cube.grains:
                if CubeName(measure.name, cube.dimensions, grain) not in truth:
                    findings.add(f"{measure.name} [{cube.name}] {grain}: the truth has no such cube")


def _cells(connection: duckdb.DuckDBPyConnection, measure: Measure, name: CubeName) -> dict[CellKey, Row]:
    cube = measure.cube_of(name.dims)
    if cube is None:
        return {}
    histograms = [one.name for one in measure.histograms]
    return {
        _key(row, name.dims): {**row, **_read_histograms(row, histograms)}
        for row in _rows(connection, measure, cube, name.grain)
    }


def _rows(connection: duckdb.DuckDBPyConnection, measure: Measure, cube: Cube, grain: Grain) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = unsuppressed(connection, measure, cube, grain).to_pylist()
    return rows


def _key(row: Row, dims: Iterable[str]) -> CellKey:
    start = row["start"].replace(tzinfo=UTC)
    return (int(start.timestamp() * 1000), row["tier"], *(row[name] for name in dims))


def _read_histograms(row: Row, names: Iterable[str]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name in names:
        buckets = dict(row[name] or {})
        read[f"{name} count"] = sum(buckets.values())
        read |= {f"{name} p{percent}": _reading(buckets, percent) for percent in PERCENTS}
    return read


def _reading(buckets: Mapping[int, int], percent: int) -> float | None:
    """What the bucket reads in which the nearest rank falls."""
    rank = -(-sum(buckets.values()) * percent // 100)
    for bucket, number in sorted(buckets.items()):
        rank -= number
        if rank <= 0:
            return {ZEROS: 0.0, UNDERFLOW: 0.125, OVERFLOW: None}.get(bucket, 2 ** ((bucket + 0.5) / 8))
    return None


def _compare_remarks(
    connection: duckdb.DuckDBPyConnection, measure: Measure, remarks: Remarks, findings: Findings
) -> None:
    """Over all hours of receipt: when the gate took which report is not part of the truth."""
    for cube in measure.cubes:
        for grain in cube.grains:
            got: dict[CellKey, dict[str, int]] = {}
            for row in _rows(connection, measure, cube, grain):
                sums = got.setdefault((row["tier"], *(row[name] for name in cube.dimensions)), {})
                for value in ("values", "reports"):
                    sums[value] = sums.get(value, 0) + row[value]
            findings.rows("A1", f"[{cube.name}] {grain}", remarks.by(cube.dimensions), got)


def _compare_receipts(
    connection: duckdb.DuckDBPyConnection, measure: Measure, receipts: Mapping[str, Receipts], findings: Findings
) -> None:
    [totals] = [cube for cube in measure.cubes if not cube.dimensions]
    for grain in totals.grains:
        got: dict[str, Counter[str]] = {}
        for row in _rows(connection, measure, totals, grain):
            got.setdefault(row["tier"], Counter()).update({name: row[name] for name in ("stored", "duplicate")})
        expected = {tier: {"stored": one.stored, "duplicate": one.duplicates} for tier, one in receipts.items()}
        findings.rows("A3", grain, expected, {tier: got[tier] for tier in got if tier in expected})
