"""What V1 and V2 would answer: cubes and values over the rows of model_inventory, set against the manifest."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from load.fleet.truth_cells import GRAINS, Grain, Part, Row
from load.fleet.truth_rows import KeptRows

V1 = ((), ("model",), ("model", "region"), ("region",), ("hardware_tier",), ("manifest_age",))

V2_SERVING = (("status",), ("model", "status"), ("region", "status"))

V2_REMOVAL = (("removal",),)


def inventory_parts(kept: KeptRows, manifest: Mapping[str, Any]) -> Iterator[Part]:
    """V1 and V2."""
    models = manifest.get("models", ())
    serving = [row for row in kept.inventory if row.dims["serving"] == "True"]
    named = [row for row in serving if row.dims["model"] in {model["name"] for model in models}]
    parity = ("installations", "on_wanted", "agreeing")
    active = ("installations", "tasks")
    for grain in GRAINS:
        in_use = _statuses(serving, grain, models)
        gone = [row for row in _statuses(kept.inventory, grain, models) if row.dims["status"] == "revoked"]
        yield Part("V1", V1, [_parity(row, grain, models) for row in named], parity, grains=(grain,))
        yield Part("V2", V2_SERVING, in_use, active, grains=(grain,))
        yield Part("V2", V2_REMOVAL, gone, active, grains=(grain,))


def _counted(row: Row, grain: Grain) -> int:
    """1 where the device reports this file for the first time in the span."""
    return row.counts[f"first_of_{grain}"]


def _parity(row: Row, grain: Grain, models: Sequence[Mapping[str, Any]]) -> Row:
    wanted = _wanted(models, row.dims["model"], row.dims["region"])
    one = _counted(row, grain)
    counts = {
        "installations": one,
        "on_wanted": one if row.dims["version"] in wanted else 0,
        "agreeing": one if row.dims["wanted_version"] in wanted else 0,
    }
    return replace(row, counts=counts)


def _wanted(models: Sequence[Mapping[str, Any]], name: str, region: str) -> Collection[str]:
    """The versions of a model that are wanted in a region; what is said of the region itself replaces what "*" says."""
    entries = [entry for model in models if model["name"] == name for entry in model.get("wanted", ())]
    own = [entry for entry in entries if entry["region"] == region]
    everywhere = [entry for entry in entries if entry["region"] == "*"]
    return {entry["version"] for entry in own or everywhere if entry["share"] > 0}


def _statuses(rows: Sequence[Row], grain: Grain, models: Sequence[Mapping[str, Any]]) -> list[Row]:
    revoked = {(model["name"], version) for model in models for version in model.get("revoked", ())}
    return [
        replace(
            row,
            dims={**row.dims, "status": _status(row, revoked)},
            counts={"installations": _counted(row, grain), "tasks": row.counts["tasks"]},
        )
        for row in rows
    ]


def _status(row: Row, revoked: Collection[tuple[str, str]]) -> str:
    if row.dims["state"] == "revoked" or (row.dims["model"], row.dims["version"]) in revoked:
        return "revoked"
    return "stale" if row.dims["state"] == "stale" else "current"
