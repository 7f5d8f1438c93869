"""JSON -> Avro, for people with curl: a plain object becomes a message that goes the way of every other message.

Plain means: no union wrappers, enum symbols as strings, `report_id` as 32 hexadecimal digits or a UUID, times as
milliseconds or as RFC 3339 with an offset. A key that the schema does not have is counted and forgotten, name and
value.
"""

import io
import json
import math
import re
from datetime import datetime
from typing import Any, NamedTuple

import fastavro

from ingest.body import MAX_REPORTS
from ingest.problems import Reason, Rejected
from ingest.wire import INT_MAX, INT_MIN, LONG_MAX, LONG_MIN
from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record
from schemas.report_schema import ReportSchema

HEXADECIMAL = re.compile(r"(?:[0-9a-fA-F]{2})+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""Python's own parsers take much more: blanks, signs, underscores, week dates, digits of any script."""


class Message(NamedTuple):
    """A single-object Avro message, and how many names that no schema has were taken off on the way to it."""

    content: bytes
    unknown: int = 0


def parse_json(body: bytes) -> Any:
    """The JSON value of `body`; refuses what RFC 8259 leaves open: duplicate keys, NaN, and nesting without end."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError carry the input
        raise Rejected(Reason.BAD_JSON) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Rejected(Reason.DUPLICATE_KEY)
    return found


def _no_constant(_: str) -> Any:
    raise Rejected(Reason.NOT_FINITE)


def split_json(body: bytes) -> list[Any]:
    """The report objects of a JSON body, which holds one object or an array of objects."""
    value = parse_json(body)
    reports = value if isinstance(value, list) else [value]
    if len(reports) > MAX_REPORTS:
        raise Rejected(Reason.TOO_MANY_REPORTS)
    return reports


def encode_json(value: Any, schema: ReportSchema) -> Message:
    """The message of one report object under `schema`; raises `Rejected` with the path of the field at fault."""
    converter = _Converter()
    record = converter.record(value, schema.root, path="")
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, record)
    return Message(schema.message_prefix + out.getvalue(), converter.unknown)


class _Converter:
    """Turns JSON values into what fastavro writes, counting the keys it does not know."""

    def __init__(self) -> None:
        self.unknown = 0

    def record(self, value: Any, node: Record, *, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Rejected(Reason.WRONG_TYPE, path=path or None)
        known = {field.name for field in node.fields}
        self.unknown += sum(1 for name in value if name not in known)
        return {field.name: self._field(value, field) for field in node.fields}

    def _field(self, holder: dict[str, Any], field: Field) -> Any:
        if field.name not in holder:
            if not field.has_default:
                raise Rejected(Reason.MISSING_FIELD, path=field.path)
            return field.default
        value = holder[field.name]
        if value is None and field.nullable:
            return None
        return self._value(value, field.type, path=field.path)

    def _value(self, value: Any, node: AvroType, *, path: str) -> Any:
        match node:
            case Record():
                return self.record(value, node, path=path)
            case Array(items):
                return [self._value(item, items, path=path) for item in _of(list, value, path)]
            case Map(values):
                pairs = _of(dict, value, path).items()
                return {_text(name, path): self._value(item, values, path=path) for name, item in pairs}
            case Enumeration(_, symbols):
                return _symbol(value, symbols, path)
            case Fixed(_, size):
                return _fixed(value, size, path)
            case Primitive(name, logical):
                return _primitive(value, name, logical, path)


def _of(kind: type, value: Any, path: str) -> Any:
    if not isinstance(value, kind):
        raise Rejected(Reason.WRONG_TYPE, path=path)
    return value


def _symbol(value: Any, symbols: tuple[str, ...], path: str) -> str:
    if value not in symbols:
        raise Rejected(Reason.BAD_ENUM_INDEX, path=path)
    return str(value)


def _fixed(value: Any, size: int, path: str) -> bytes:
    try:
        raw = bytes.fromhex(_hexadecimal(_of(str, value, path), path))
    except ValueError:
        raise Rejected(Reason.WRONG_TYPE, path=path) from None
    if len(raw) != size:
        raise Rejected(Reason.WRONG_TYPE, path=path)
    return raw


def _hexadecimal(text: str, path: str) -> str:
    """The digits of a number in hexadecimal, or of a UUID in its usual form (RFC 9562), and of nothing else."""
    if not HEXADECIMAL.fullmatch(text):
        raise Rejected(Reason.WRONG_TYPE, path=path)
    return text.replace("-", "")


def _primitive(value: Any, name: str, logical: str | None, path: str) -> Any:
    if name == "boolean":
        return _of(bool, value, path)
    if name == "string":
        return _text(value, path)
    if name == "double":
        return _double(value, path)
    if logical == "timestamp-millis" and isinstance(value, str):
        return _milliseconds(value, path)
    return _integer(value, name, path)


def _text(value: Any, path: str) -> str:
    try:
        _of(str, value, path).encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and UTF-8 cannot
        raise Rejected(Reason.BAD_UTF8, path=path) from None
    return str(value)


def _double(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(Reason.WRONG_TYPE, path=path)
    try:
        number = float(value)
    except OverflowError:
        raise Rejected(Reason.NOT_FINITE, path=path) from None
    if not math.isfinite(number):
        raise Rejected(Reason.NOT_FINITE, path=path)
    return number


def _milliseconds(value: str, path: str) -> int:
    if not RFC_3339.fullmatch(value):
        raise Rejected(Reason.WRONG_TYPE, path=path)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Rejected(Reason.WRONG_TYPE, path=path) from None
    return round(moment.timestamp() * 1000)


def _integer(value: Any, name: str, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Rejected(Reason.WRONG_TYPE, path=path)
    low, high = (INT_MIN, INT_MAX) if name == "int" else (LONG_MIN, LONG_MAX)
    if not low <= value <= high:
        raise Rejected(Reason.INT_OUT_OF_RANGE, path=path)
    return value
