"""Reports as Avro, written down byte by byte with a word on each part: what the golden hex files are made of.

`message(schema, report, plain)` is the single-object message of a report that is given as JSON has it. It is made from
the specification alone and shares no code with the gate, fastavro or any other library.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record
from schemas.report_schema import ReportSchema
from tests.end_to_end.avro_by_hand import long

NULL, PRESENT = b"\x00", b"\x02"
"""Branches 0 and 1 of `["null", T]`."""

END_OF_BLOCKS = b"\x00"


@dataclass(frozen=True, slots=True)
class Part:
    """A few bytes, and what they say; `tokens` are apart in the hex file and one after the other in the message."""

    tokens: tuple[bytes, ...]
    said: str

    @property
    def encoded(self) -> bytes:
        return b"".join(self.tokens)


BlockHead = Callable[[int, int], tuple[bytes, ...]]
"""Number of items and their size in bytes -> what stands before them."""


def plain(count: int, _: int) -> tuple[bytes, ...]:
    """One block that tells its number of items, as fastavro and Apache Avro write."""
    return (long(count),)


def sized(count: int, size: int) -> tuple[bytes, ...]:
    """One block that tells its size as well, as hamba/avro writes up to a hundred items."""
    return long(-count), long(size)


def message(schema: ReportSchema, report: Any, head: BlockHead) -> list[Part]:
    """Marker, fingerprint and record; what `report` does not say has its default."""
    prefix = [Part((b"\xc3\x01",), "marker"), Part((schema.fingerprint,), f"fingerprint of {schema.label}")]
    return [*prefix, *_record(schema.root, report, head, "")]


def encoded(parts: Iterable[Part]) -> bytes:
    """The bytes of all parts."""
    return b"".join(part.encoded for part in parts)


def _record(record: Record, value: Any, head: BlockHead, at: str) -> Iterator[Part]:
    for field in record.fields:
        name = f"{at}.{field.name}" if at else field.name
        yield from _field(field, value.get(field.name, field.default), head, name)


def _field(field: Field, value: Any, head: BlockHead, at: str) -> Iterator[Part]:
    if not field.nullable:
        yield from datum(field.type, value, head, at)
    elif value is None:
        yield Part((NULL,), f"{at} = null")
    else:
        yield Part((PRESENT,), f"{at} is there")
        yield from datum(field.type, value, head, at)


def datum(node: AvroType, value: Any, head: BlockHead, at: str = "") -> Iterator[Part]:
    """A value of any type; `at` is what its parts are called by."""
    match node:
        case Record():
            yield from _record(node, value, head, at)
        case Array(items):
            written = [list(datum(items, item, head, f"{at}[{place}]")) for place, item in enumerate(value)]
            yield from _block(written, head, at)
        case Map(held):
            pairs = [[_text(name, f"{at} key"), *datum(held, value[name], head, f"{at}[{name}]")] for name in value]
            yield from _block(pairs, head, at)
        case _:
            yield _leaf(node, value, at)


def _leaf(node: AvroType, value: Any, at: str) -> Part:
    match node:
        case Enumeration(_, symbols):
            return Part((long(symbols.index(value)),), f"{at} = {value}")
        case Fixed():
            return Part((bytes.fromhex(value),), at)
        case Primitive("boolean"):
            return Part((bytes([value]),), f"{at} = {str(value).lower()}")
        case Primitive("int" | "long"):
            return Part((long(value),), f"{at} = {value}")
        case Primitive("string"):
            return _text(value, at)
        case _:
            raise NotImplementedError(f"{at}: no report has this type yet")


def _text(text: str, at: str) -> Part:
    content = text.encode()
    return Part((long(len(content)), content), f"{at} = {text}")


def _block(items: list[list[Part]], head: BlockHead, at: str) -> Iterator[Part]:
    if items:
        yield Part(head(len(items), sum(len(encoded(item)) for item in items)), f"{at}: {len(items)}")
        for item in items:
            yield from item
    yield Part((END_OF_BLOCKS,), f"{at}: end")
