"""The report schemas as a device needs them: which version it speaks, and the fields of each report as a tree.

The `.avsc` files of `schemas/reports/` are read when a report is first made, and Avro's library is not needed for it:
the fingerprints stand here, and `tests/reporter/policy/test_reports.py` holds them against the files.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from reporter.shipped import shipped

VERSION = 1
"""The version of every report that this agent writes."""

FINGERPRINTS: Mapping[str, bytes] = {
    "capability_probe": bytes.fromhex("bdb7b658db5413e5"),
    "fallback_window": bytes.fromhex("1e1a08738257039d"),
    "health_window": bytes.fromhex("78c32150d8ec0244"),
    "model_inventory": bytes.fromhex("0d6c2048bfcf73d0"),
    "path_probe": bytes.fromhex("7e10cfa2f9a92243"),
    "route_window": bytes.fromhex("b96d64c51678a604"),
    "stability_window": bytes.fromhex("3b1005faa09949c3"),
    "sync_window": bytes.fromhex("b93b6c6e4459950f"),
    "trace_window": bytes.fromhex("cfb5cecf65d75194"),
}
"""Report -> CRC-64-AVRO of its schema, little-endian. The keys are all reports there are."""

MARKER = b"\xc3\x01"
"""How a message in Avro's single-object encoding begins."""

PREAMBLE = (
    "report_id",
    "window_start",
    "window_end",
    "consent_fallback_reports",
    "consent_diagnostics",
    "consent_location",
    "region",
)
"""The first fields of every report, which the gate reads before it decides anything."""

CONSENT = "consent_"
PURPOSES = tuple(name.removeprefix(CONSENT) for name in PREAMBLE if name.startswith(CONSENT))
"""What a person may consent to."""

IDENTIFIERS = ("device_id", "user_id", "user_email", "hostname", "serial", "ip_address")
"""The fields that follow the preamble: never on a device's disk in a message, at most put in while one is sent."""

NOT_FOR_AVRO = ("doc", "privacy", "unit")
"""What is said of a field to people and to policies."""

OTHER = "other"

INTEGERS = {"int": range(-(2**31), 2**31), "long": range(-(2**63), 2**63)}
OTHER_KINDS: Mapping[str, type] = {"boolean": bool, "double": float, "record": Mapping, "map": Mapping}
PLAIN_BLANKS: Mapping[str, Any] = {"boolean": False, "int": 0, "long": 0, "double": 0.0, "string": ""}


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field where it stands in its report: `path` is its dotted name from the top.

    `kind` is the name of its Avro type, or of the type of its items where it is `repeated`; `fields` are those of a
    record, `symbols` those of an enum, `size` the bytes of a fixed.
    """

    path: str
    name: str
    kind: str
    nullable: bool
    repeated: bool
    privacy: str
    has_default: bool
    default: Any
    symbols: tuple[str, ...] = ()
    size: int = 0
    fields: tuple["Field", ...] = ()

    @property
    def may_go_unsaid(self) -> bool:
        """Whether a report without this field means something: its default, or `other`."""
        return self.has_default or OTHER in self.symbols

    def blank(self) -> Any:
        """What stands in a report that says nothing here; a list or dict is the caller's own."""
        if self.nullable:
            return None
        if self.repeated:
            return []
        if self.has_default and self.kind not in ("map", "record"):
            return self.default
        return self._least()

    def _least(self) -> Any:
        if self.kind == "enum":
            return OTHER if OTHER in self.symbols else self.symbols[0]
        if self.kind == "record":
            return {field.name: field.blank() for field in self.fields}
        if self.kind == "fixed":
            return bytes(self.size)
        return {} if self.kind == "map" else PLAIN_BLANKS[self.kind]

    def takes(self, value: Any) -> bool:
        """Whether a single value, no null and no list, may stand here; what is in a record is not looked at."""
        if self.kind in INTEGERS:
            return type(value) is int and value in INTEGERS[self.kind]
        if self.kind == "enum":
            return isinstance(value, str) and value in self.symbols
        if self.kind == "fixed":
            return isinstance(value, bytes) and len(value) == self.size
        if self.kind == "string":
            return isinstance(value, str) and is_utf_8(value)
        return isinstance(value, OTHER_KINDS[self.kind])


@dataclass(frozen=True, eq=False)
class Report:
    """One report type; its `fingerprint` is what its messages name it by."""

    name: str
    version: int
    fingerprint: bytes
    fields: tuple[Field, ...]

    @property
    def prefix(self) -> bytes:
        """What every message of this report begins with."""
        return MARKER + self.fingerprint

    @cached_property
    def by_path(self) -> Mapping[str, Field]:
        """Every field by its path, depth first."""
        return {field.path: field for field in _walk(self.fields)}


@lru_cache(maxsize=len(FINGERPRINTS))
def schema(name: str) -> Report:
    """The report of that name, read from its file once; raises `KeyError` where there is none."""
    fingerprint = FINGERPRINTS[name]
    return Report(name, VERSION, fingerprint, _fields(_parsed(name, dict), "", {}))


def for_avro(name: str) -> dict[str, Any]:
    """What Avro needs of the report's file, which is half of it: it is kept for as long as the process lives."""
    return _parsed(name, lambda pairs: {key: value for key, value in pairs if key not in NOT_FOR_AVRO})


def _parsed(name: str, made: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> dict[str, Any]:
    text = shipped("schemas", f"reports/{name}.v{VERSION}.avsc")
    found: dict[str, Any] = json.loads(text, object_pairs_hook=made)
    return found


def is_utf_8(text: str) -> bool:
    """Whether a string can be written at all: half a surrogate pair, which a file name may give, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _walk(fields: tuple[Field, ...]) -> Iterator[Field]:
    for field in fields:
        yield field
        yield from _walk(field.fields)


def _fields(record: Mapping[str, Any], parent: str, named: dict[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    return tuple(
        _field(spec, f"{parent}.{spec['name']}" if parent else spec["name"], named) for spec in record["fields"]
    )


def _field(spec: Mapping[str, Any], path: str, named: dict[str, Mapping[str, Any]]) -> Field:
    declared = spec["type"]
    nullable = isinstance(declared, list)
    node = _type(declared[1] if nullable else declared, named)
    repeated = node["type"] == "array"
    if repeated:
        node = _type(node["items"], named)
    return Field(
        path=path,
        name=spec["name"],
        kind=node["type"],
        nullable=nullable,
        repeated=repeated,
        privacy=spec["privacy"],
        has_default="default" in spec,
        default=spec.get("default"),
        symbols=tuple(node.get("symbols", ())),
        size=node.get("size", 0),
        fields=_fields(node, path, named) if node["type"] == "record" else (),
    )


def _type(declared: Any, named: dict[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The declaration behind a type: its own, or the one that stood where its name was first used."""
    if isinstance(declared, str):
        return named.get(declared) or {"type": declared}
    if "name" in declared:
        named[declared["name"]] = declared
    node: Mapping[str, Any] = declared
    return node
