"""What R1 to R5 would answer if they knew every task: cubes and values over the rows of route_window."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from load.fleet.truth_cells import Part, Row
from load.fleet.truth_rows import KeptRows

R1 = (
    ("route",), ("route", "region"), ("route", "data_class"), ("route", "task_kind"), ("route", "hardware_tier"),
    ("route", "model"), ("route", "region", "data_class"),
)  # fmt: skip

R2 = (
    ("decision_reason",), ("policy_version",), ("decision_reason", "policy_version"), ("decision_reason", "route"),
)  # fmt: skip

R3 = ((), ("planned_route",), ("data_class",), ("region",), ("task_kind",), ("planned_route", "data_class"))

R4 = (("route",), ("route", "region"), ("route", "served_region"), ("route", "model"))

R5 = (("route",), ("model",), ("route", "model"), ("route", "region"))

PER_MILLION = 1_000_000
"""Prices are per million tokens and to a millionth of the currency, so a token costs units of 1e-12 of it."""


def route_parts(kept: KeptRows, prices: Mapping[str, Any]) -> Iterator[Part]:
    """R1 to R5."""
    rows = kept.route
    priced = list(_priced(rows, prices))
    yield Part("R1", R1, rows, ("tasks",))
    yield Part("R2", R2, rows, ("tasks",))
    yield Part("R3", R3, rows, ("refused", "tasks"))
    yield Part("R4", R4, rows, ("tasks", "attempts", "cold_starts"), observed=("latency", "first_token"))
    yield Part("R5", R5, priced, ("tasks", "tokens_in", "tokens_out", "cost", "unpriced_tasks"))


def _priced(rows: Iterable[Row], prices: Mapping[str, Any]) -> Iterator[Row]:
    """Rows with their cost in 1e-12 of the currency, and their tasks as `unpriced_tasks` where there is no price."""
    listed = {(price["route"], price["model"]): price for price in prices.get("price", ())}
    for row in rows:
        route = row.dims["route"]
        price = listed.get((route, row.dims["model"])) or listed.get((route, "*"))
        if price is None:
            extra = {"cost": 0, "unpriced_tasks": row.counts["tasks"]}
        else:
            cost = row.counts["tokens_in"] * _micro(price["input_per_million"])
            cost += row.counts["tokens_out"] * _micro(price["output_per_million"])
            extra = {"cost": cost, "unpriced_tasks": 0}
        yield replace(row, counts={**row.counts, **extra})


def _micro(price: str) -> int:
    return int(Decimal(price) * PER_MILLION)
