"""The fixed values of the golden reports, in the form that JSON has: what is posted, and why it is worth a file.

For every type of report: one with the fields that have to be there and nothing else, and one with every field, each
with a value that its neighbours do not have. Then the shapes that senders get wrong.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Record
from schemas.catalogue import Catalogue
from schemas.report_schema import ReportSchema
from tests.wire.encoding import BlockHead, plain, sized

NOW_MS = 1_795_267_800_000
"""2026-11-21T13:30:00Z: what the gate takes for the time of day."""

NOON_MS = 1_795_262_400_000
WINDOW = {"window_start": NOON_MS, "window_end": NOON_MS + 300_000}
HOUR = {"window_start": NOON_MS, "window_end": NOON_MS + 3_600_000}

INT_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1
LOWEST_BUCKET = -24

STRINGS = {
    "region": "eu-west",
    "served_region": "eu-west",
    "region_asked": "eu-west",
    "region_answered": "eu-north",
    "site": "plant-2",
    "model": "assistant-small",
    "model_version": "2.1",
    "version": "2.1",
    "wanted_version": "2.0",
    "digest": "sha256:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab",
    "wanted_mirror": "mirror-eu",
    "used_mirror": "mirror-us",
    "os": "linux",
    "os_version": "12.6.1",
    "hardware_model": "latitude-7440",
    "agent_version": "1.4.2-beta",
    "policy_version": "7.2",
    "device_id": "device-0001",
    "user_id": "ada",
    "user_email": "ada@example.org",
    "hostname": "ada-laptop",
    "serial": "SN-0001",
    "ip_address": "192.0.2.7",
}
"""By the name of a field. Names of regions, sites, models and mirrors are those of `schemas/examples/manifest.toml`."""


@dataclass(frozen=True, slots=True)
class Golden:
    """A golden report or batch; `value` is an object or, for a batch, a list of objects."""

    tier: str
    report: str
    what: str
    why: str
    value: Any
    head: BlockHead = plain

    @property
    def name(self) -> str:
        """Its files, without what tells them apart: `managed/route_window.full`."""
        return f"{self.tier}/{self.report}.{self.what}"


def goldens(catalogue: Catalogue) -> Iterator[Golden]:
    """All of them."""
    for name, schema in sorted(catalogue.latest.items()):
        yield Golden("managed", name, "required", "Only what has to be said.", required(schema))
        yield Golden("managed", name, "full", "Every field, each with a value of its own.", full(schema))
    yield from _encodings(catalogue)
    yield from _tiers(catalogue)


def _encodings(catalogue: Catalogue) -> Iterator[Golden]:
    full_routes = full(catalogue.latest["route_window"])
    yield Golden("managed", "route_window", "sender", "What the senders of docs/senders say.", SENDER)
    yield Golden(
        "managed", "route_window", "sized_blocks", "`full`, in blocks as hamba/avro writes them.", full_routes, sized
    )
    sync = required(catalogue.latest["sync_window"])
    yield Golden("managed", "sync_window", "non_ascii", "Lengths count bytes of UTF-8, not characters.", sync | FOREIGN)
    stable = required(catalogue.latest["stability_window"])
    yield Golden("managed", "stability_window", "largest", "The largest int and long.", stable | LARGEST)
    health = required(catalogue.latest["health_window"])
    bad = health | {"report_id": identifier("a window that is inverted"), "window_end": NOON_MS}
    last = health | {"report_id": identifier("the last of a batch"), "crashes": 1}
    yield Golden("managed", "health_window", "batch", "The middle one is bad; the others stand.", [health, bad, last])


def _tiers(catalogue: Catalogue) -> Iterator[Golden]:
    fallback = required(catalogue.latest["fallback_window"])
    yield Golden("byod", "fallback_window", "no_consent", "Refused: fallback reports are opt-in.", fallback)
    yield Golden(
        "byod",
        "fallback_window",
        "consent",
        "The same with the flag of the purpose.",
        fallback | {"consent_fallback_reports": True, "rows": [FOLDED]},
    )
    routes = required(catalogue.latest["route_window"])
    yield Golden("contractor", "route_window", "hour", "A whole hour.", routes | HOUR | {"site": "plant-2"})
    yield Golden(
        "contractor",
        "route_window",
        "mail_address",
        "Refused: this tier does not take a report that has one.",
        routes | HOUR | {"user_email": "ada@example.org"},
    )


def identifier(label: str) -> str:
    """A report_id that is the same every time; a device draws 128 random bits."""
    return hashlib.sha256(label.encode()).hexdigest()[:32]


def required(schema: ReportSchema) -> dict[str, Any]:
    """The fields without a default, in the schema's order."""
    said = {field.name: _first(field) for field in schema.root.fields if not field.has_default}
    return said | {"report_id": identifier(f"{schema.label} required")} | WINDOW


def _first(field: Field) -> Any:
    return field.type.symbols[0] if isinstance(field.type, Enumeration) else None


def full(schema: ReportSchema) -> dict[str, Any]:
    """Every field of every record in it, none at its default."""
    said: dict[str, Any] = _Distinct().record(schema.root)
    return said | {"report_id": identifier(f"{schema.label} full")} | WINDOW


class _Distinct:
    """Values, each number another one."""

    def __init__(self) -> None:
        self._count = 0

    def record(self, record: Record) -> dict[str, Any]:
        return {field.name: self._field(field) for field in record.fields}

    def _field(self, field: Field) -> Any:
        if field.name == "offset":
            return LOWEST_BUCKET
        if isinstance(field.type, Enumeration):
            return self._symbol(field.type.symbols, field.default)
        if field.name in STRINGS:
            return STRINGS[field.name]
        return self._value(field.type)

    def _value(self, node: AvroType) -> Any:
        match node:
            case Record():
                return self.record(node)
            case Array(items):
                return [self._value(items), self._value(items)]
            case Map():
                return {"build": "nightly"}
            case Fixed():
                return None
        return self._primitive(getattr(node, "name", ""))

    def _primitive(self, name: str) -> Any:
        if name == "boolean":
            return True
        return self._next() + (5_000_000_000 if name == "long" else 100)

    def _symbol(self, symbols: tuple[str, ...], default: Any) -> str:
        others = [symbol for symbol in symbols if symbol != default]
        return others[self._next() % len(others)]

    def _next(self) -> int:
        self._count += 1
        return self._count


SENDER = {
    "report_id": identifier("sender"),
    **WINDOW,
    "region": "eu-west",
    "hardware_tier": "small",
    "agent_version": "1.4.2",
    "network_context": "office",
    "rows": [
        {
            "data_class": "internal",
            "task_kind": "document",
            "input_size": "medium",
            "authority": "local_safe",
            "device_approved": "approved",
            "planned_route": "on_device",
            "actual_route": "edge",
            "decision_reason": "quality",
            "precision": "int4",
            "model": "assistant-small",
            "tasks": 3,
            "latency": {"offset": 80, "counts": [2, 0, 1]},
        }
    ],
}

FOLDED = {
    "data_class": "other",
    "planned_route": "other",
    "actual_route": "other",
    "fallback_reason": "other",
    "consent": "other",
    "disclosed": "other",
    "tasks": 4,
}

FOREIGN = {"site": "Zürich 東京 🌊", "attributes": {"größe": "große"}}

LARGEST = {
    "switches": INT_MAX,
    "route_lifetime_min": INT_MAX,
    "latency_sum": LONG_MAX,
    "latency_sum_squares": LONG_MAX,
}
