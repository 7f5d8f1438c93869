"""OTLP in Protobuf, read and written by hand: the few fields that are looked at, and a jump over all others.

The wire format is a number of field and type, then a number, 4 or 8 bytes, or a length and so many bytes. To read it
here takes less than to install a library on every device, and what is not looked at is never decoded. Field numbers
are those of `opentelemetry/proto/trace/v1/trace.proto`; they are stable, and the tests hold them against its code.
"""

from collections.abc import Iterable, Iterator
from struct import unpack_from
from typing import Any

from reporter.otel.otlp import ERROR_CODE, BadRequest, Encoding
from reporter.otel.spans import Span, Wanted

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10
MASK = (1 << 64) - 1

Value = int | memoryview


Field = tuple[int, int, Value]
"""One field of a message: its number, how it is written, and what is written."""


def spans(body: bytes, wanted: Wanted) -> list[Span]:
    """The spans of an `ExportTraceServiceRequest`; raises `BadRequest`."""
    return [span for part in _messages(memoryview(body), 1) for span in _resource_spans(part, wanted)]


def _resource_spans(message: memoryview, wanted: Wanted) -> Iterator[Span]:
    whole: dict[str, Any] = {}
    for resource in _messages(message, 1):
        whole |= _attributes(_messages(resource, 1), wanted)
    whole = {name: value for name, value in whole.items() if wanted.of_others(name)}
    for scope in _messages(message, 2):
        for span in _messages(scope, 2):
            yield _span(span, whole, wanted)


def _span(message: memoryview, whole: dict[str, Any], wanted: Wanted) -> Span:
    parts = _parts(message)
    trace, itself, parent = (_bytes(parts, number) for number in (1, 2, 4))
    start, end = (_number(parts, number) for number in (7, 8))
    times = [time for event in parts.get((11, LENGTH), ()) for time in _event_time(event, wanted)]
    return Span(
        attributes={**whole, **_attributes(parts.get((9, LENGTH), ()), wanted)},
        start_ns=start,
        end_ns=end,
        failed=any(_failed(status) for status in parts.get((15, LENGTH), ())),
        first_event_ns=min(times, default=None),
        itself=(trace, itself) if itself else None,
        parent=(trace, parent) if parent else None,
    )


def _parts(message: memoryview) -> dict[tuple[int, int], list[Any]]:
    """What a message holds, by number and how it is written."""
    found: dict[tuple[int, int], list[Any]] = {}
    for number, kind, value in _fields(message):
        found.setdefault((number, kind), []).append(value)
    return found


def _bytes(parts: dict[tuple[int, int], list[Any]], number: int) -> bytes:
    return bytes(parts[number, LENGTH][-1]) if (number, LENGTH) in parts else b""


def _number(parts: dict[tuple[int, int], list[Any]], number: int) -> int:
    return int(parts[number, FIXED64][-1]) if (number, FIXED64) in parts else 0


def _failed(status: memoryview) -> bool:
    return any(number == 3 and value == ERROR_CODE for number, _, value in _fields(status))


def _event_time(event: memoryview, wanted: Wanted) -> Iterator[int]:
    time, name = 0, None
    for number, kind, value in _fields(event):
        if number == 1 and kind == FIXED64 and isinstance(value, int):
            time = value
        elif number == 2 and isinstance(value, memoryview):
            name = _known_text(value, wanted.events)
    if name is not None:
        yield time


def _attributes(messages: Iterable[memoryview], wanted: Wanted) -> dict[str, Any]:
    found = {}
    for message in messages:
        name, value = None, None
        for number, _, part in _fields(message):
            if number == 1 and isinstance(part, memoryview):
                name = _known_text(part, wanted.attributes)
            elif number == 2 and isinstance(part, memoryview):
                value = part
        if name is not None and value is not None:
            found[name] = _any_value(value)
    return found


def _known_text(text: memoryview, known: frozenset[str]) -> str | None:
    """A text, if it is one that is looked for."""
    try:
        found = str(text, "utf-8")
    except UnicodeDecodeError:
        return None
    return found if found in known else None


def _any_value(message: memoryview) -> Any:
    """Texts, truths, numbers, and lists of them; maps and bytes mean nothing here."""
    found: Any = None
    for number, kind, value in _fields(message):
        match number, kind, value:
            case 1, _, memoryview():
                found = str(value, "utf-8", "replace")
            case 2, 0, int():
                found = value != 0
            case 3, 0, int():
                found = value - (value >> 63 << 64)
            case 4, 1, int():
                found = unpack_from("<d", value.to_bytes(8, "little"))[0]
            case 5, _, memoryview():
                found = [_flat_value(one) for one in _messages(value, 1)]
    return found


def _flat_value(message: memoryview) -> Any:
    """A text within a list. What lies deeper is not looked at, so depth costs nothing."""
    texts = [value for number, _, value in _fields(message) if number == 1 and isinstance(value, memoryview)]
    return str(texts[-1], "utf-8", "replace") if texts else None


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """What is written under one number; everything else is jumped over."""
    for number, _, value in _fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[Field]:
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if tag < 8:
            raise BadRequest("A field has the number 0.")
        value: Value
        if kind == LENGTH:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif kind == VARINT:
            value, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
            value, at = int.from_bytes(message[at : at + length], "little"), at + length
        else:
            raise BadRequest("A field has a wire type that Protobuf's third version does not use.")
        if at > end:
            raise BadRequest("A field is longer than the message that it stands in.")
        yield tag >> 3, kind, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where the next begins. Nearly all are of one byte: lengths, and numbers of fields."""
    if at < len(message) and message[at] < 128:
        return message[at], at + 1
    found = shift = 0
    for byte in message[at : at + LONGEST_VARINT]:
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found & MASK, at
        shift += 7
    raise BadRequest("A number is longer than 10 bytes, or the message ends within it.")


def _written(number: int, value: int | bytes) -> bytes:
    """A field of a message; a number as a varint."""
    if isinstance(value, int):
        return _as_varint(number << 3) + _as_varint(value)
    return _as_varint(number << 3 | LENGTH) + _as_varint(len(value)) + value


def _as_varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes(written) + bytes((value,))


def _partly_taken(rejected: int, why: str) -> bytes:
    return _written(1, _written(1, rejected) + _written(2, why.encode()))


def _status(why: str) -> bytes:
    return _written(2, why.encode())


ENCODING = Encoding(
    content_type="application/x-protobuf",
    spans=spans,
    taken=bytes,
    partly_taken=_partly_taken,
    failed=_status,
)
