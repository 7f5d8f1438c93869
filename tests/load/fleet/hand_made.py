"""Devices, tasks and files by hand: everything has a plain default, a test says what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from load.fleet.nouns import Device, Fleet, Identifiers, Installation, Task
from load.fleet.truth import truth
from load.fleet.truth_cells import CellKey, Cells, CubeName, Grain

HOUR = 3_600_000
DAY = 24 * HOUR
MINUTE = 60_000

NINE = 1_795_046_400_000 // DAY * DAY + 9 * HOUR
"""Nine o'clock in the morning, UTC, on some day: the beginning of the hour in which tests let things happen."""

MIDNIGHT = NINE - 9 * HOUR

MANIFEST: dict[str, Any] = {
    "regions": ["north", "south"],
    "models": [
        {
            "name": "small-chat",
            "versions": [{"version": "1.0"}, {"version": "2.0"}],
            "revoked": ["0.9"],
            "wanted": [
                {"region": "*", "version": "2.0", "share": 1.0},
                {"region": "south", "version": "1.0", "share": 0.5},
                {"region": "south", "version": "2.0", "share": 0.0},
            ],
        },
        {"name": "large-chat", "versions": [{"version": "7"}]},
    ],
}

PRICES: dict[str, Any] = {
    "currency": "EUR",
    "price": [
        {"route": "managed_cloud", "model": "*", "input_per_million": "2.50", "output_per_million": "10.00"},
        {"route": "managed_cloud", "model": "large-chat", "input_per_million": "0.000001", "output_per_million": "0"},
        {"route": "edge", "model": "small-chat", "input_per_million": "1", "output_per_million": "1"},
    ],
}


def device(index: int, tier: str = "managed", *, attributes: tuple[tuple[str, str], ...] = (), **said: Any) -> Device:
    """A laptop in the north whose person agreed to everything; `attributes` are names and values of its agent's own."""
    named = Identifiers(f"machine-{index}", "account", "mail", "host", "serial", "192.0.2.1", attributes)
    plain = {
        "index": index,
        "tier": tier,
        "region": "north",
        "site": "hall",
        "kind": "laptop",
        "hardware_tier": "medium",
        "hardware_model": "EliteBook 840",
        "os": "linux",
        "os_version": "6.8.1",
        "agent_version": "4.2.1",
        "network_context": "office",
        "consent_fallback_reports": True,
        "consent_diagnostics": True,
        "consent_location": True,
        "identifiers": named,
    }
    return Device(**{**plain, **said})


def task(of: int, time: int = NINE, **said: Any) -> Task:
    """A question answered on the device itself, at once."""
    route = said.get("planned_route", "on_device")
    plain = {
        "device": of,
        "time": time,
        "data_class": "internal",
        "task_kind": "interactive",
        "input_size": "small",
        "authority": "local_safe",
        "device_approved": "approved",
        "planned_route": route,
        "actual_route": route,
        "decision_reason": "default",
        "precision": "int4",
        "served_region": None,
        "model": "small-chat",
        "model_version": "1.0",
        "policy_version": "3.2",
        "attempts": 1,
        "succeeded": True,
        "refused": False,
        "degraded": False,
        "offline": False,
        "cold_start": False,
        "contract_checked": False,
        "contract_valid": False,
        "citations_expected": 0,
        "citations_present": 0,
        "tokens_in": 0,
        "tokens_out": 0,
        "bytes_sent": 0,
        "disclosures": frozenset(),
        "latency_ms": None,
        "first_token_ms": None,
        "violations": frozenset(),
    }
    return Task(**{**plain, **said})


def file(of: int, hour: int = NINE, **said: Any) -> Installation:
    """The small model in its second version, in use."""
    plain = {
        "device": of,
        "hour": hour,
        "manifest_age": "under_1h",
        "model": "small-chat",
        "version": "2.0",
        "digest": "sha256:00",
        "precision": "int4",
        "runtime": "llama_cpp",
        "state": "active",
        "removal": "not_revoked",
        "wanted_version": "2.0",
        "serving": True,
        **{
            name.name: 0
            for name in fields(Installation)
            if name.type in {int, "int"} and name.name not in {"device", "hour"}
        },
    }
    return Installation(**{**plain, **said})


def fleet(devices: Sequence[Device], tasks: Sequence[Task] = (), files: Sequence[Installation] = ()) -> Fleet:
    """A fleet of these, over the day."""
    return Fleet(
        seed=0,
        start_ms=MIDNIGHT,
        end_ms=MIDNIGHT + DAY,
        devices=tuple(devices),
        tasks=tuple(sorted(tasks, key=lambda one: one.time)),
        installations=tuple(files),
        pulses=(),
        manifest=MANIFEST,
        prices=PRICES,
    )


def cube(of: Fleet, measure: str, *dims: str, grain: Grain = "hour", **said: Any) -> Cells:
    """The true cells of one cube."""
    return truth(of, **said)[CubeName(measure, dims, grain)]


def values(cells: Cells) -> dict[CellKey, Mapping[str, int]]:
    """What the cells count, without where it is from."""
    return {key: cell.values for key, cell in cells.items()}


def proven(cells: Cells) -> dict[CellKey, int]:
    """The devices that each cell proves."""
    return {key: cell.devices for key, cell in cells.items()}
