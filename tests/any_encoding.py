"""An Avro encoder that writes each value in some form that the specification allows, drawn at random.

Arrays and maps are cut into blocks, some of which tell their size (a negative count); every varint, lengths and indexes
among them, may be longer than it need be, up to the ten bytes of 64 bits. It shares nothing with the code under test.
"""

import struct
from collections.abc import Sequence
from random import Random
from typing import Any

from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record


def varint(number: int, *, length: int = 1) -> bytes:
    """A zig-zag varint of at least `length` bytes, at most 10."""
    rest = (number << 1) ^ (number >> 63)
    groups = [rest >> shift & 0x7F for shift in range(0, 70, 7)]
    while len(groups) > length and groups[-1] == 0:
        groups.pop()
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def encode_anyhow(node: AvroType, value: Any, random: Random) -> bytes:  # noqa: C901, PLR0911  # one line for each Avro type
    """Some legal encoding of `value`, which has the form that fastavro takes."""
    match node:
        case Primitive("boolean"):
            return bytes([value])
        case Primitive("int" | "long"):
            return _long(value, random)
        case Primitive("double"):
            return struct.pack("<d", value)
        case Primitive():
            return _text(value, random)
        case Enumeration(_, symbols):
            return _long(symbols.index(value), random)
        case Fixed():
            return bytes(value)
        case Array(items):
            return _blocks([encode_anyhow(items, item, random) for item in value], random)
        case Map(held):
            pairs = [_text(name, random) + encode_anyhow(held, item, random) for name, item in value.items()]
            return _blocks(pairs, random)
        case Record(_, fields):
            return b"".join(_field(field, value[field.name], random) for field in fields)


def _field(field: Field, value: Any, random: Random) -> bytes:
    if not field.nullable:
        return encode_anyhow(field.type, value, random)
    if value is None:
        return _long(0, random)
    return _long(1, random) + encode_anyhow(field.type, value, random)


def _long(number: int, random: Random) -> bytes:
    return varint(number, length=random.choice((1, 1, 1, 1, 2, 5, 10)))


def _text(text: str, random: Random) -> bytes:
    encoded = text.encode()
    return _long(len(encoded), random) + encoded


def _blocks(items: Sequence[bytes], random: Random) -> bytes:
    written = bytearray()
    at = 0
    while at < len(items):
        block = items[at : at + random.randint(1, len(items) - at)]
        at += len(block)
        written += _block(block, random)
    return bytes(written) + _long(0, random)


def _block(items: Sequence[bytes], random: Random) -> bytes:
    content = b"".join(items)
    if random.random() < 0.5:
        return _long(len(items), random) + content
    return _long(-len(items), random) + _long(len(content), random) + content
