"""A small report that is valid under a schema, as JSON: something to try a policy on. It is about no device."""

import secrets
from typing import Any

from ingest.clock import iso_utc
from ingest.coarsen import MS_PER_HOUR
from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, PrimitiveName, Record
from schemas.report_schema import ReportSchema

WINDOW_MS = 300_000
COUNT = 3
PRIMITIVES: dict[PrimitiveName, Any] = {"boolean": False, "int": COUNT, "long": COUNT, "double": 0.5, "string": "text"}
HEADER = {"hostname": "persons-laptop", "os": "linux", "agent_version": "2.3.1"}
"""What is filled of the header beside what has to be: the name of a host is an identifier that every tier takes off."""


def example(schema: ReportSchema, *, now: int) -> dict[str, Any]:
    """A report of five minutes that begin with the last full hour before `now` (ms), with an id of its own.

    What has a default keeps it, but for the first count of the report, and one item with a count in the first list.
    """
    start = now - now % MS_PER_HOUR - MS_PER_HOUR
    window = {"window_start": iso_utc(start), "window_end": iso_utc(start + WINDOW_MS)}
    lists = [field.name for field in schema.root.fields if field.record and isinstance(field.type, Array)]
    known = {name: value for name, value in (window | HEADER).items() if name in schema.fields}
    filled = _filled(schema.root) | known | {name: [_filled(schema.fields[name].record)] for name in lists[:1]}
    return {field.name: filled[field.name] for field in schema.root.fields if field.name in filled}


def _filled(record: Record | None) -> dict[str, Any]:
    """The fields of a record that have to be said, and its first count."""
    fields = () if record is None else record.fields
    counts = [field.name for field in fields if _is_count(field)]
    return {field.name: _value(field.type) for field in fields if not field.has_default or field.name in counts[:1]}


def _is_count(field: Field) -> bool:
    return field.has_default and field.type in (Primitive("int"), Primitive("long"))


def _value(node: AvroType) -> Any:
    match node:
        case Enumeration(_, symbols):
            return symbols[0]
        case Fixed(_, size):
            return secrets.token_hex(size)
        case Record():
            return _filled(node)
        case Primitive(name):
            return PRIMITIVES[name]
        case Array() | Map():
            return [] if isinstance(node, Array) else {}
