"""The part of Avro that a report schema may use, as a tree of frozen nodes.

A report schema is decoded from bytes that strangers send, so it may use only what has a bounded, unambiguous decoding:
no recursion, no union but `["null", T]`, no array or map whose items take no bytes, no `bytes` and no `float`. Whatever
cannot be expressed by the nodes here cannot be in a report.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Privacy = Literal["identifier", "quasi_identifier", "sensitive", "operational"]
PRIVACY_CLASSES: tuple[str, ...] = get_args(Privacy)
PrimitiveName = Literal["boolean", "int", "long", "double", "string"]
PRIMITIVES: tuple[str, ...] = get_args(PrimitiveName)

MAX_DEPTH = 6
"""Report -> rows -> histogram -> counts is 4; two more leave room, and bound the walker's stack."""


class UnsupportedSchema(ValueError):
    """The schema uses something that a report may not use; the message names the field path and the way out."""


@dataclass(frozen=True, slots=True)
class Primitive:
    name: PrimitiveName
    logical: str | None = None


@dataclass(frozen=True, slots=True)
class Enumeration:
    name: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Array:
    items: "AvroType"


@dataclass(frozen=True, slots=True)
class Map:
    values: "AvroType"


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    fields: tuple["Field", ...]


AvroType = Primitive | Enumeration | Fixed | Array | Map | Record


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record, where it stands in its report.

    `id` is the field's place in the depth-first order of the report schema, from 1; `path` its dotted name from the
    top. A named type that is used twice makes two sets of fields, so that a policy can tell them apart.
    """

    id: int
    path: str
    name: str
    type: AvroType
    nullable: bool
    has_default: bool
    default: Any
    doc: str | None
    privacy: str | None
    unit: str | None

    @property
    def record(self) -> Record | None:
        """The record whose fields a policy may name below this field, through an array if there is one."""
        inner = self.type.items if isinstance(self.type, Array) else self.type
        return inner if isinstance(inner, Record) else None


def walk(record: Record) -> Iterator[Field]:
    """Every field of `record`, depth first, a container before what is in it."""
    for field in record.fields:
        yield field
        if field.record is not None:
            yield from walk(field.record)


class TreeBuilder:
    """Turns one schema document into a `Record` tree; used once per document."""

    def __init__(self) -> None:
        self._next_id = 1
        self._named: dict[str, Mapping[str, Any]] = {}
        self._open: list[str] = []

    def build(self, document: Mapping[str, Any]) -> Record:
        """The tree of a whole schema document, whose top must be a record; raises `UnsupportedSchema`."""
        node = self._type(document, path="", namespace="")
        if not isinstance(node, Record):
            raise UnsupportedSchema("the top of a report schema must be a record")
        return node

    def _type(self, spec: Any, *, path: str, namespace: str) -> AvroType:
        if isinstance(spec, list):
            raise UnsupportedSchema(f'{path}: the only union allowed is ["null", T], as the type of a field')
        if isinstance(spec, str):
            if spec in PRIMITIVES:
                return Primitive(spec)  # type: ignore[arg-type]  # the line above is the check
            return self._reference(spec, path=path, namespace=namespace)
        kind = spec.get("type")
        if kind in PRIMITIVES:
            return Primitive(kind, spec.get("logicalType"))
        if kind in ("record", "enum", "fixed"):
            return self._define(spec, path=path, namespace=namespace)
        if kind == "array":
            return Array(self._items(spec.get("items"), path=path, namespace=namespace))
        if kind == "map":
            return Map(self._values(spec.get("values"), path=path, namespace=namespace))
        allowed = ", ".join((*PRIMITIVES, "record", "enum", "fixed", "array", "map"))
        raise UnsupportedSchema(f"{path or 'the top'}: type {kind!r} is not allowed in a report; use one of {allowed}")

    def _items(self, spec: Any, *, path: str, namespace: str) -> AvroType:
        node = self._type(spec, path=path, namespace=namespace)
        if isinstance(node, Array | Map):
            # No policy could name what is in there, and no lint would see it.
            raise UnsupportedSchema(f"{path}: an array holds no arrays and no maps; make its items a record")
        return node

    def _values(self, spec: Any, *, path: str, namespace: str) -> AvroType:
        node = self._type(spec, path=path, namespace=namespace)
        if node != Primitive("string"):
            raise UnsupportedSchema(f"{path}: a map holds strings only; make it an array of records with a name each")
        return node

    def _define(self, spec: Mapping[str, Any], *, path: str, namespace: str) -> AvroType:
        namespace = spec.get("namespace", namespace)
        full_name = f"{namespace}.{spec['name']}" if namespace else str(spec["name"])
        self._named[full_name] = {**spec, "namespace": namespace}
        return self._named_type(full_name, path=path)

    def _reference(self, name: str, *, path: str, namespace: str) -> AvroType:
        full_name = name if "." in name or not namespace else f"{namespace}.{name}"
        if full_name not in self._named:
            raise UnsupportedSchema(f"{path}: type {name!r} is not allowed in a report, or not defined before its use")
        return self._named_type(full_name, path=path)

    def _named_type(self, full_name: str, *, path: str) -> AvroType:
        spec = self._named[full_name]
        if spec["type"] == "enum":
            return Enumeration(full_name, tuple(spec["symbols"]))
        if spec["type"] == "fixed":
            if spec["size"] < 1:
                raise UnsupportedSchema(f"{path}: a fixed of size 0 takes no bytes")
            return Fixed(full_name, spec["size"])
        return self._record(full_name, spec, path=path)

    def _record(self, full_name: str, spec: Mapping[str, Any], *, path: str) -> Record:
        if full_name in self._open:
            raise UnsupportedSchema(f"{path}: {full_name} contains itself; a recursive schema has no bounded decoding")
        if len(self._open) >= MAX_DEPTH:
            raise UnsupportedSchema(f"{path}: records are nested deeper than {MAX_DEPTH}")
        if not spec["fields"]:
            raise UnsupportedSchema(f"{path}: a record without fields takes no bytes, so five bytes claim millions")
        self._open.append(full_name)
        fields = tuple(self._field(field, parent=path, namespace=spec["namespace"]) for field in spec["fields"])
        self._open.pop()
        return Record(full_name, fields)

    def _field(self, spec: Mapping[str, Any], *, parent: str, namespace: str) -> Field:
        path = f"{parent}.{spec['name']}" if parent else str(spec["name"])
        field_id = self._next_id
        self._next_id += 1
        declared = spec["type"]
        nullable = isinstance(declared, list) and len(declared) == 2 and declared[0] == "null"
        node = self._type(declared[1] if nullable else declared, path=path, namespace=namespace)
        if nullable and isinstance(node, Array | Map):
            raise UnsupportedSchema(f"{path}: an array or map is absent when it is empty; it need not be null as well")
        return Field(
            id=field_id,
            path=path,
            name=spec["name"],
            type=node,
            nullable=nullable,
            has_default="default" in spec,
            default=spec.get("default"),
            doc=spec.get("doc"),
            privacy=spec.get("privacy"),
            unit=spec.get("unit"),
        )
