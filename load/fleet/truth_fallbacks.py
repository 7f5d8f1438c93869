"""What F1 to F5 would answer: cubes and values over the rows, the planned tasks and the violations."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from load.fleet.truth_cells import Part, Row
from load.fleet.truth_rows import KeptRows

F1 = (
    (), ("planned_route",), ("region",), ("planned_route", "region"), ("planned_route", "actual_route"),
    ("planned_route", "actual_route", "fallback_reason"), ("fallback_reason",), ("fallback_reason", "region"),
)  # fmt: skip

F2 = (("consent", "disclosed"), ("consent", "disclosed", "actual_route"))

F2_VIOLATIONS = (("rule",),)

SILENT = frozenset({"consent_not_asked", "consent_denied", "undisclosed"})

F3 = (
    ("kind", "from_zone", "to_zone"), ("kind", "from_zone", "to_zone", "data_class"),
    ("kind", "from_zone", "to_zone", "region"),
)  # fmt: skip

F4 = ((), ("actual_route",), ("planned_route", "actual_route"), ("disclosed",), ("fallback_reason",))

F5 = ((), ("planned_route", "actual_route"), ("region",))

PLANNED = "(planned)"
"""What the denominators read where the actual route or the reason is asked for."""

ZONE = {"on_device": "device", "edge": "site", "private_cloud": "private", "managed_cloud": "vendor"}


def zone(route: str) -> str:
    """The zone that a route leads to."""
    return ZONE.get(route, "none")


def fallback_parts(kept: KeptRows) -> Iterator[Part]:
    """F1 to F5."""
    left = [row for row in kept.fallback if _fell_back(row)]
    rates = [*_fallbacks(left), *_bases(kept.planned)]
    silent = [row for row in kept.violations if row.dims["rule"] in SILENT]
    moved = [*_planned_moves(kept.route), *_fallback_moves(kept.fallback)]
    back = ("tasks", "seconds_in_fallback", "returns", "canary_returns")
    yield Part("F1", F1, rates, ("fallbacks", "planned"))
    yield Part("F2", F2, left, ("tasks",))
    yield Part("F2", F2_VIOLATIONS, silent, ("tasks",), grains=("day",))
    yield Part("F3", F3, moved, ("bytes", "tasks"))
    yield Part("F4", F4, left, ("tasks", "succeeded", "degraded"))
    yield Part("F5", F5, kept.fallback, back, observed=("return_time",))


def _fell_back(row: Row) -> bool:
    return row.dims["planned_route"] != row.dims["actual_route"] or row.dims["fallback_reason"] != "none"


def _fallbacks(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        yield replace(row, counts={"fallbacks": row.counts["tasks"], "planned": 0})


def _bases(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        dims = {**row.dims, "actual_route": PLANNED, "fallback_reason": PLANNED}
        yield replace(row, dims=dims, counts={"fallbacks": 0, "planned": row.counts["tasks"]})


def _planned_moves(rows: Iterable[Row]) -> Iterator[Row]:
    """Data that left the device because its task was planned to run elsewhere."""
    for row in rows:
        to = zone(row.dims["actual_route"])
        if row.dims["planned_route"] == row.dims["actual_route"] and to not in {"device", "none"}:
            dims = {**row.dims, "kind": "planned", "from_zone": "device", "to_zone": to}
            yield replace(row, dims=dims, counts={"bytes": row.counts["bytes_sent"], "tasks": row.counts["tasks"]})


def _fallback_moves(rows: Iterable[Row]) -> Iterator[Row]:
    """Data that crossed the border of a zone because its task fell back."""
    for row in rows:
        left, to = zone(row.dims["planned_route"]), zone(row.dims["actual_route"])
        if to not in {left, "none"}:
            dims = {**row.dims, "kind": "fallback", "from_zone": left, "to_zone": to}
            yield replace(row, dims=dims, counts={"bytes": row.counts["bytes_moved"], "tasks": row.counts["tasks"]})
