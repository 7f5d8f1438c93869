"""Checked, canonical copies of Avro values: for each type a function that moves one value from a message to an output.

A copier is `copy(buffer, at, out, run) -> at`: it checks the value at `at`, appends its canonical encoding to `out`,
and returns the place after it. What is dropped is copied too, into a scratch buffer, so that there is one code path
that decides what is legal. `run` is what a single pass carries; plain copies do not look at it.

Most fields of a report are numbers and symbols, so a run of them is checked by one regular expression and copied as it
stands. Where the expression does not match, the copiers of the fields take over, one by one: they know what else is
legal, and the path of what is not. fastavro is the oracle (tests/contract/test_strip.py).
"""

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

from ingest.coarsen import Names
from ingest.problems import Reason, Rejected
from ingest.wire import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    check_double,
    encode_long,
    read_boolean,
    read_fixed,
    read_index,
    read_long,
    read_present,
    read_string,
)
from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record

NULL = 0
PRESENT = 2
"""The branch indexes of `["null", T]` as they stand on the wire (zig-zag 0 and 1)."""


class Run:
    """What one pass over one report carries: what the operator knows, the key, the time, and what was touched so far.

    `touched` counts values by slot (`ingest.strip.slot`); `now` is milliseconds since the epoch; `key` is asked for at
    the first value that needs it, and may raise `Rejected`.
    """

    __slots__ = ("key", "names", "now", "touched")

    def __init__(self, *, names: Names, key: Callable[[], bytes], now: int) -> None:
        self.names = names
        self.key = key
        self.now = now
        self.touched: dict[int, int] = {}


Copier: TypeAlias = Callable[[bytes, int, bytearray, Run], int]


def copier(node: AvroType, path: str) -> Copier:  # noqa: C901, PLR0911  # one line for each Avro type
    """The copier of a type; `path` is what a refusal names."""
    match node:
        case Primitive("boolean"):
            return _boolean(path)
        case Primitive("int"):
            return _number(path, INT_MIN, INT_MAX)
        case Primitive("long"):
            return _number(path, LONG_MIN, LONG_MAX)
        case Primitive("double"):
            return _double(path)
        case Primitive():
            return _string(path)
        case Enumeration(_, symbols):
            return _enumeration(path, len(symbols))
        case Fixed(_, size):
            return _fixed(size)
        case Array(items):
            return array(copier(items, path), path, slice_items=items in (Primitive("int"), Primitive("long")))
        case Map(values):
            return _map(copier(values, path), path)
        case Record(_, fields):
            return record([whole_step(field) for field in fields])


def _optional(inner: Copier, path: str) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        present, at = read_present(buffer, at, path)
        if not present:
            out.append(NULL)
            return at
        out.append(PRESENT)
        return inner(buffer, at, out, run)

    return copy


def _boolean(path: str) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        value, at = read_boolean(buffer, at, path)
        out.append(value)
        return at

    return copy


def _number(path: str, low: int, high: int) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        byte = buffer[at]
        if byte < 0x80:
            out.append(byte)
            return at + 1
        number, at = read_long(buffer, at, path)
        if not low <= number <= high:
            raise Rejected(Reason.INT_OUT_OF_RANGE, path=path)
        out += encode_long(number)
        return at

    return copy


def _double(path: str) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        end = check_double(buffer, at, path)
        out += buffer[at:end]
        return end

    return copy


def _string(path: str) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        text, at = read_string(buffer, at, path)
        out += encode_long(len(text))
        out += text
        return at

    return copy


def _enumeration(path: str, size: int) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        index, at = read_index(buffer, at, size, Reason.BAD_ENUM_INDEX, path)
        out += encode_long(index)
        return at

    return copy


def _fixed(size: int) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        value, at = read_fixed(buffer, at, size)
        out += value
        return at

    return copy


def read_block(buffer: bytes, at: int, path: str) -> tuple[int, int | None, int]:
    """(count, place where the block must end if it says so, place of the first item); a count of 0 ends the blocks.

    Every item takes a byte at least (the lint holds that), so a count over what is left is a message cut short, or a
    lie.
    """
    count, at = read_long(buffer, at, path)
    end = None
    if count < 0:
        size, at = read_long(buffer, at, path)
        if size < 0:
            raise Rejected(Reason.BAD_BLOCK, path=path)
        count, end = -count, at + size
    if max(count, (end or at) - at) > len(buffer) - at:
        raise Rejected(Reason.TRUNCATED, path=path)
    return count, end, at


def blocks(item: Copier, path: str) -> Copier:
    """Copies every block of an array or map into one, `item` by item, the closing zero included."""

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        count, end, at = read_block(buffer, at, path)
        if count == 0:
            out.append(0)
            return at
        head, first, total = len(out), count, 0
        out += encode_long(count)
        items = len(out)
        while count:
            for _ in range(count):
                at = item(buffer, at, out, run)
            if end is not None and at != end:
                raise Rejected(Reason.BAD_BLOCK, path=path)
            total += count
            count, end, at = read_block(buffer, at, path)
        if total != first:
            out[head:items] = encode_long(total)
        out.append(0)
        return at

    return copy


def array(item: Copier, path: str, *, slice_items: bool = False) -> Copier:
    """The copier of an array. Where any short varint is a legal item, a block of one-byte items is one slice."""
    general = blocks(item, path)
    if not slice_items:
        return general

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        head = buffer[at]
        if head < 0x80 and not head & 1:
            end = at + 1 + (head >> 1)
            if head == 0 or (end < len(buffer) and buffer[end] == 0 and buffer[at + 1 : end].isascii()):
                end += head != 0
                out += buffer[at:end]
                return end
        return general(buffer, at, out, run)

    return copy


def _map(value: Copier, path: str) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        seen: set[bytes] = set()

        def entry(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
            key, at = read_string(buffer, at, path)
            if key in seen:
                raise Rejected(Reason.DUPLICATE_KEY, path=path)
            seen.add(key)
            out += encode_long(len(key))
            out += key
            return value(buffer, at, out, run)

        return blocks(entry, path)(buffer, at, out, run)

    return copy


INT_VARINT = b"(?:[\x00-\x7f]|[\x80-\xff]{1,3}+[\x01-\x7f])"
LONG_VARINT = b"(?:[\x00-\x7f]|[\x80-\xff]{1,8}+[\x01-\x7f])"
"""Canonical and within range whatever they hold: 28 bits of an int's 32, 63 of a long's 64. The rest goes by copier."""


def as_it_stands(node: AvroType) -> bytes | None:
    """The regular expression of encodings of a type that are legal and canonical as they stand, None if it has none."""
    match node:
        case Primitive("int"):
            return INT_VARINT
        case Primitive("long"):
            return LONG_VARINT
        case Primitive("boolean"):
            return b"[\x00\x01]"
        case Enumeration(_, symbols) if len(symbols) <= 64:
            return b"[" + b"".join(re.escape(bytes([index * 2])) for index in range(len(symbols))) + b"]"
    return None


class Step(NamedTuple):
    """One field of a record: its path, its copier, and its pattern (`as_it_stands`) where it may be part of a run."""

    path: str
    copy: Copier
    as_it_stands: bytes | None


def whole_step(field: Field) -> Step:
    """The step of a field with its nullability, as the report schema has it."""
    inner = copier(field.type, field.path)
    if field.nullable:
        return Step(field.path, _optional(inner, field.path), None)
    return Step(field.path, inner, as_it_stands(field.type))


def record(steps: Sequence[Step], *, prefix: bytes = b"") -> Copier:
    """Copies the fields of a record in order. `prefix` is what each step with a pattern writes before its value.

    A read past the end becomes `truncated`, at the path of the field that was being read.
    """
    merged: list[Step] = []
    for in_run, group in groupby(steps, key=lambda step: step.as_it_stands is not None):
        members = list(group)
        merged += [_run(members, prefix)] if in_run and len(members) > 1 else members
    return _sequence(merged)


def _sequence(steps: Sequence[Step]) -> Copier:
    copiers = tuple(step.copy for step in steps)
    paths = {step.copy: step.path for step in steps}

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        step = copiers[0]
        try:
            for step in copiers:
                at = step(buffer, at, out, run)
        except IndexError:
            raise Rejected(Reason.TRUNCATED, path=paths[step]) from None
        return at

    return copy


VALUES = re.compile(b"[\x80-\xff]*[\x00-\x7f]").findall
"""Cuts a run that is known to be legal into its varints."""


def _run(members: Sequence[Step], prefix: bytes) -> Step:
    """One step for several: if all of them are as they should be, one pattern checks them and one slice copies them."""
    all_legal = re.compile(b"".join(step.as_it_stands or b"" for step in members), re.DOTALL).match
    one_by_one = _sequence(members)

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        found = all_legal(buffer, at)
        if found is None:
            return one_by_one(buffer, at, out, run)
        if prefix:
            out += prefix
            out += prefix.join(VALUES(found[0]))
        else:
            out += found[0]
        return found.end()

    return Step(members[0].path, copy, None)
