r"""Avro bodies made byte by byte, so that one field can be encoded in a way in which no writer would.

`message(schema, report, {"rows.data_class": b"\x01"})` encodes a report and puts the given bytes wherever the field at
that path would stand. The field's own encoding is that of fastavro.
"""

import io
from collections.abc import Mapping
from typing import Any

import fastavro

from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record
from schemas.report_schema import ReportSchema

LONG = fastavro.parse_schema({"type": "long"})


def long(number: int) -> bytes:
    """The zig-zag varint of a number, however large: a writer would refuse more than 64 bits."""
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(encoded + bytes([rest]))


def text(value: bytes) -> bytes:
    """A string with its length in front; `value` need not be UTF-8."""
    return long(len(value)) + value


def message(schema: ReportSchema, report: Mapping[str, Any], instead: Mapping[str, bytes] | None = None) -> bytes:
    """The single-object message of `report`, with the bytes of `instead` in the place of the fields it names."""
    used: set[str] = set()
    body = _record(schema.root, report, instead or {}, used)
    assert used == set(instead or {}), "a field to be replaced is not in the report"
    return schema.message_prefix + body


def _record(record: Record, value: Mapping[str, Any], instead: Mapping[str, bytes], used: set[str]) -> bytes:
    return b"".join(_field(field, value, instead, used) for field in record.fields)


def _field(field: Field, holder: Mapping[str, Any], instead: Mapping[str, bytes], used: set[str]) -> bytes:
    if field.path in instead:
        used.add(field.path)
        return instead[field.path]
    value = holder.get(field.name, field.default)
    if field.nullable:
        return b"\x00" if value is None else b"\x02" + _value(field.type, value, instead, used)
    return _value(field.type, value, instead, used)


def _value(node: AvroType, value: Any, instead: Mapping[str, bytes], used: set[str]) -> bytes:
    match node:
        case Record():
            return _record(node, value, instead, used)
        case Array(items):
            return _blocks([_value(items, item, instead, used) for item in value])
        case Map(values):
            return _blocks([text(key.encode()) + _value(values, item, instead, used) for key, item in value.items()])
        case Enumeration(_, symbols):
            return long(symbols.index(value))
        case Fixed():
            return bytes(value)
        case Primitive(name):
            out = io.BytesIO()
            fastavro.schemaless_writer(out, fastavro.parse_schema({"type": name}), value)
            return out.getvalue()


def _blocks(items: list[bytes]) -> bytes:
    return long(len(items)) + b"".join(items) + b"\x00" if items else b"\x00"
