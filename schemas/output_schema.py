"""The schema of a stripped record: what a plan lets through, and nothing else.

Every field that a policy can name is `["null", T]` with default null; a container kept whole keeps its inner fields as
the report schema has them. The record begins with what made it (report schema, policy version, plan) and ends with its
remarks.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record

REMARK_ACTIONS = ("keep", "drop", "coarsen", "pseudonymise")
"""The symbols of a remark's action, in the order of their index on the wire; only ever appended to."""

RESERVED_NAMES = frozenset({"schema_fingerprint", "policy_version", "plan_fingerprint", "remarks"})
"""Names at the top of a stripped record that no report field may have."""


class Planned(Protocol):
    """What this module needs to know of a planned field (`schemas.plan.PlannedField`)."""

    @property
    def field(self) -> Field: ...
    @property
    def survives(self) -> bool: ...
    @property
    def children(self) -> "Sequence[Planned] | None": ...


def output_schema(label: str, name: str, fields: Sequence[Planned]) -> dict[str, Any]:
    """The output schema of report `label` (`route_window.v1`): a record `name` with what survives of `fields`."""
    writer = _Writer(f"tidegate.stripped.{label}")
    return {
        "type": "record",
        "name": name,
        "namespace": writer.namespace,
        "doc": f"A {label} report after a tier's policy; what is missing was not kept.",
        "fields": [
            _stamp("schema_fingerprint", "long", "CRC-64-AVRO of the report schema, as a little-endian signed number."),
            _stamp("policy_version", "int", "Version of the tier's policy that stripped this record."),
            _stamp("plan_fingerprint", "long", "Fingerprint of the plan, as a little-endian signed number."),
            *(writer.field(planned) for planned in fields if planned.survives),
            _stamp("remarks", {"type": "array", "items": _REMARK}, "What was present and not kept as it was."),
        ],
    }


def _stamp(name: str, kind: Any, doc: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", kind], "default": None, **_described(doc, unit="none")}


def _described(doc: str, *, unit: str) -> dict[str, str]:
    return {"doc": doc, "privacy": "operational", "unit": unit}


_FIELD_ID_DOC = "The field's place in the depth-first order of the report schema, from 1; 0 for names it does not have."
_REMARK: dict[str, Any] = {
    "type": "record",
    "name": "Remark",
    "doc": "One field of the report schema that was present and not kept as it was. Never a value.",
    "fields": [
        {"name": "field", "type": "int", **_described(_FIELD_ID_DOC, unit="none")},
        {
            "name": "action",
            "type": {"type": "enum", "name": "RemarkAction", "symbols": list(REMARK_ACTIONS)},
            **_described("What the policy did.", unit="none"),
        },
        {"name": "values", "type": "int", **_described("How many values met it.", unit="{value}")},
    ],
}


class _Writer:
    """Writes Avro JSON from type nodes, defining each named type where it first stands."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._defined: set[str] = set()

    def field(self, planned: Planned) -> dict[str, Any]:
        field = planned.field
        if planned.children is None:
            kind = self._type(field.type)
        else:
            inner = self._descended(field, planned.children)
            kind = {"type": "array", "items": inner} if isinstance(field.type, Array) else inner
        return {"name": field.name, "type": ["null", kind], "default": None, **_annotations(field)}

    def _descended(self, field: Field, children: Sequence[Planned]) -> dict[str, Any]:
        # Named after its path, for two uses of one input type may keep different fields.
        name = "".join(part.title() for part in field.path.replace(".", "_").split("_")) + "Kept"
        return {"type": "record", "name": name, "fields": [self.field(child) for child in children if child.survives]}

    def _type(self, node: AvroType) -> Any:
        match node:
            case Primitive(primitive, None):
                return primitive
            case Primitive(primitive, logical):
                return {"type": primitive, "logicalType": logical}
            case Array(items):
                return {"type": "array", "items": self._type(items)}
            case Map(values):
                return {"type": "map", "values": self._type(values)}
        name = node.name.rpartition(".")[2]
        if name in self._defined:
            return f"{self.namespace}.{name}"
        self._defined.add(name)
        return {"name": name, **self._definition(node)}

    def _definition(self, node: Enumeration | Fixed | Record) -> dict[str, Any]:
        match node:
            case Enumeration(_, symbols):
                return {"type": "enum", "symbols": list(symbols)}
            case Fixed(_, size):
                return {"type": "fixed", "size": size}
            case Record(_, fields):
                return {"type": "record", "fields": [self._whole(field) for field in fields]}

    def _whole(self, field: Field) -> dict[str, Any]:
        kind = self._type(field.type)
        default = {"default": field.default} if field.has_default else {}
        return {
            "name": field.name,
            "type": ["null", kind] if field.nullable else kind,
            **default,
            **_annotations(field),
        }


def _annotations(field: Field) -> dict[str, str | None]:
    return {"doc": field.doc, "privacy": field.privacy, "unit": field.unit}
