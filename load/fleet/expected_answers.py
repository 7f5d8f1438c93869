"""From published cells to the columns of an answer: shares, rates, costs and percentiles, worked out plainly."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from load.fleet.findings import Percentile, Row
from load.fleet.truth_cells import Cell, CellKey, CubeName
from load.fleet.truth_fallbacks import PLANNED

Shown = Mapping[CellKey, Cell | None]

COST_UNIT = 10**12

APART = {"actual_route", "fallback_reason"}
"""Dimensions of F1 which the base of a rate does not have."""

BASED = "fallbacks with a base"
"""In a sum of cells of F1: the fallbacks of those whose base is shown."""

SHARE_OF = {
    "R1": ("tasks", {"route"}),
    "R2": ("tasks", {"decision_reason", "policy_version", "route"}),
    "F2": ("tasks", {"consent", "disclosed", "actual_route", "rule"}),
    "V2": ("installations", {"status", "removal"}),
}
"""The value whose share an answer tells, and the columns over which the shares come to 1."""

SHOWN_AS_THEY_ARE = {
    "R1": ("tasks",),
    "R2": ("tasks",),
    "R3": ("refused", "tasks"),
    "R4": ("tasks", "cold_starts"),
    "R5": ("tasks", "tokens_in", "tokens_out", "unpriced_tasks"),
    "F2": ("tasks",),
    "F3": ("bytes", "tasks"),
    "F4": ("tasks",),
    "F5": ("tasks", "returns"),
    "V1": ("installations",),
    "V2": ("installations", "tasks"),
}

QUOTIENTS = {
    "R3": {"rate": ("refused", "tasks")},
    "R4": {"attempts_per_task": ("attempts", "tasks")},
    "F4": {"success_rate": ("succeeded", "tasks"), "degraded_rate": ("degraded", "tasks")},
    "F5": {"seconds_per_fallback": ("seconds_in_fallback", "tasks"), "canary_share": ("canary_returns", "returns")},
    "V1": {"parity": ("on_wanted", "installations"), "agreement": ("agreeing", "installations")},
}

PERCENTILES = {
    "R4": {
        "latency_p50": ("latency", 50),
        "latency_p95": ("latency", 95),
        "latency_p99": ("latency", 99),
        "first_token_p50": ("first_token", 50),
        "first_token_p95": ("first_token", 95),
        "first_token_p99": ("first_token", 99),
    },
    "F5": {"return_p50": ("return_time", 50), "return_p95": ("return_time", 95)},
}


def expected_rows(name: CubeName, shown: Shown, *, k: Mapping[str, int], currency: str) -> dict[CellKey, Row]:
    """The rows of the answer that shows these cells, by (start, tier, dimensions)."""
    if name.measure == "F1":
        return _fallback_rates(name, shown)
    value, over = SHARE_OF.get(name.measure, ("", set()))
    totals = _totals(name, shown, value, over) if value else {}
    rows: dict[CellKey, Row] = {}
    for key, cell in shown.items():
        if cell is None:
            rows[key] = {"tasks": None, "share": None, "band": f"1 to {k[str(key[1])] - 1}"}
        else:
            share = {"share": quotient(cell.values[value], totals[_without(name, key, over)])} if value else {}
            rows[key] = _columns(name.measure, cell, currency) | share
    return rows


def _columns(measure: str, cell: Cell, currency: str) -> dict[str, Any]:
    row: dict[str, Any] = {value: cell.values[value] for value in SHOWN_AS_THEY_ARE[measure]}
    for column, (part, whole) in QUOTIENTS.get(measure, {}).items():
        row[column] = quotient(cell.values[part], cell.values[whole])
    percentiles = {
        column: Percentile(tuple(cell.observations[observed]), percent)
        for column, (observed, percent) in PERCENTILES.get(measure, {}).items()
    }
    if percentiles:
        row["beyond"] = ", ".join(f"{name} > 16777216" for name, one in percentiles.items() if one.is_beyond) or None
    if measure == "R5":
        row["cost"] = cell.values["cost"] / COST_UNIT
        row["cost_per_1000_tasks"] = quotient(cell.values["cost"] * 1000, cell.values["tasks"] * COST_UNIT)
        row["currency"] = currency
    if measure == "F2":
        row["band"] = None
    return row | percentiles


def quotient(part: int, whole: int) -> float | None:
    """A part of a whole; None of nothing."""
    return part / whole if whole else None


def _without(name: CubeName, key: CellKey, left_out: Collection[str]) -> CellKey:
    """A cell's place without some dimensions: what a total is shared by."""
    return (*key[:2], *(value for dim, value in zip(name.dims, key[2:], strict=True) if dim not in left_out))


def _totals(name: CubeName, shown: Shown, value: str, over: Collection[str]) -> Counter[CellKey]:
    totals: Counter[CellKey] = Counter()
    for key, cell in shown.items():
        totals[_without(name, key, over)] += cell.values[value] if cell else 0
    return totals


def _fallback_rates(name: CubeName, shown: Shown) -> dict[CellKey, Row]:
    """F1. Where the actual route or the reason is asked, the base of the rate is in cells of its own, which are not
    rows of the answer; where such a cell is withheld, there is no rate. `BASED` of a sum of cells leaves out those.
    """
    bases: dict[CellKey, int] = {}
    for key, cell in shown.items():
        if cell is not None and (PLANNED in key or not APART & set(name.dims)):
            place = _without(name, key, APART)
            bases[place] = bases.get(place, 0) + cell.values["planned"]
    rows: dict[CellKey, Row] = {}
    for key, cell in shown.items():
        if cell is not None and PLANNED not in key:
            planned = bases.get(_without(name, key, APART))
            fallbacks = cell.values["fallbacks"]
            based = cell.values.get(BASED, fallbacks)
            rate = None if planned is None else quotient(based, planned)
            rows[key] = {"fallbacks": fallbacks, "planned": planned, "rate": rate}
    return rows


def of_all_tiers(name: CubeName, shown: Shown) -> dict[CellKey, Cell | None]:
    """The shown cells added up over the tiers; the tier in their place reads `all`. None of them may be a band."""
    with_base = {_without(name, key, APART) for key, cell in shown.items() if cell is not None and PLANNED in key}
    groups: dict[CellKey, list[Cell]] = defaultdict(list)
    for key, cell in shown.items():
        if cell is not None:
            if name.measure == "F1" and APART & set(name.dims):
                based = cell.values["fallbacks"] if _without(name, key, APART) in with_base else 0
                added = replace(cell, values={**cell.values, BASED: based})
            else:
                added = cell
            groups[key[0], "all", *key[2:]].append(added)
    return {key: _added(cells) for key, cells in groups.items()}


def _added(cells: Sequence[Cell]) -> Cell:
    values = {name: sum(cell.values[name] for cell in cells) for name in cells[0].values}
    observations = {
        name: [seen for cell in cells for seen in cell.observations[name]] for name in cells[0].observations
    }
    return Cell(values, observations, sum(cell.devices for cell in cells))
