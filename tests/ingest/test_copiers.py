"""Copiers of every type: canonical copies, and the short way of a run of values beside the long one."""

import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.copiers import Run, as_it_stands, copier, record, whole_step
from ingest.problems import Reason, Rejected
from schemas.avro_types import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record
from tests.any_encoding import encode_anyhow, varint
from tests.made_up import made_up_schema
from tests.strategies import values


def run() -> Run:
    """A pass that asks for no key."""

    def no_key() -> bytes:
        raise AssertionError("a plain copy asks for no key")

    return Run(names={}, key=no_key, now=0)


def copied(node: AvroType, encoded: bytes, *, before: bytes = b"") -> bytes:
    """What the copier of a type makes of an encoding; all of it must be used."""
    out = bytearray()
    end = copier(node, "path")(before + encoded, len(before), out, run())
    assert end == len(before) + len(encoded)
    return bytes(out)


class Shortest(Random):
    """Chooses one byte for every varint and one unsized block for every array: the canonical encoding."""

    def choice(self, _: Any) -> Any:
        return 1

    def randint(self, _: int, b: int) -> int:
        return b

    def random(self) -> float:
        return 0.0


TYPES: dict[str, AvroType] = {
    "boolean": Primitive("boolean"),
    "int": Primitive("int"),
    "long": Primitive("long"),
    "double": Primitive("double"),
    "string": Primitive("string"),
    "enum": Enumeration("E", ("a", "b", "c")),
    "wide enum": Enumeration("W", tuple(f"s{number}" for number in range(70))),
    "fixed": Fixed("F", 3),
    "map": Map(Primitive("string")),
    "longs": Array(Primitive("long")),
    "ints": Array(Primitive("int")),
    "booleans": Array(Primitive("boolean")),
    "enums": Array(Enumeration("E", ("a", "b", "c"))),
    "strings": Array(Primitive("string")),
}


@pytest.mark.parametrize("node", TYPES.values(), ids=TYPES)
@settings(max_examples=60)
@given(st.data())
def test_every_form_is_copied_to_the_canonical_one(node: AvroType, data: st.DataObject) -> None:
    """Whatever legal form a value comes in, its copy is the canonical encoding, wherever in the message it stands."""
    value = data.draw(values(node))
    some = encode_anyhow(node, value, Random(data.draw(st.integers(0, 2**32))))
    assert copied(node, some, before=b"\xff" * data.draw(st.integers(0, 3))) == encode_anyhow(node, value, Shortest(0))


NUMBERS = made_up_schema(
    *({"name": f"n{number}", "type": kind} for number, kind in enumerate(["int", "long", "boolean"] * 4)),
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a", "b", "c", "d"]}},
    {"name": "again", "type": "Kind"},
)
RUN_FIELDS = NUMBERS.root.fields[7:]
"""Fourteen neighbours, all of which have a pattern: one run."""


@settings(max_examples=200)
@given(st.fixed_dictionaries({field.name: values(field.type) for field in RUN_FIELDS}), st.integers(0, 2**32))
def test_a_run_is_copied_as_its_fields_are(row: dict[str, Any], seed: int) -> None:
    """A run of small and large numbers gives what its fields give one by one, with and without a prefix to each."""
    encoded = encode_anyhow(Record("R", RUN_FIELDS), row, Random(seed))
    one_by_one = [encode_anyhow(field.type, row[field.name], Shortest(0)) for field in RUN_FIELDS]
    out = bytearray()
    assert record([whole_step(field) for field in RUN_FIELDS])(encoded, 0, out, run()) == len(encoded)
    assert bytes(out) == b"".join(one_by_one)


@pytest.mark.parametrize("width", [0, 1, 2])
def test_a_prefix_goes_before_each_value_of_a_run(width: int) -> None:
    """The short way writes the prefix before every value, as the steps do that it stands in for."""
    prefix = b"\xaa" * width

    def prefixed(inner: Callable[..., int]) -> Callable[..., int]:
        def copy(buffer: bytes, at: int, out: bytearray, passing: Run) -> int:
            out += prefix
            return inner(buffer, at, out, passing)

        return copy

    steps = [step._replace(copy=prefixed(step.copy)) for step in map(whole_step, RUN_FIELDS)]
    parts = [b"\2", b"\4", b"\1", varint(64), b"\4", b"\0", b"\6", varint(-(2**40)), b"\1", b"\0", b"\0", b"\0"]
    parts += [b"\6", b"\2"]
    out = bytearray()
    record(steps, prefix=prefix)(b"".join(parts), 0, out, run())
    assert bytes(out) == b"".join(prefix + part for part in parts)


@pytest.mark.parametrize("place", range(len(RUN_FIELDS)))
@pytest.mark.parametrize("before", [b"\2", varint(64)], ids=["small numbers before", "large numbers before"])
def test_a_run_names_the_field_at_fault(place: int, before: bytes) -> None:
    """Within a run the refusal names its own field: a value that is illegal there, or one that is missing."""
    field = RUN_FIELDS[place]
    kinds = [getattr(member.type, "name", "") for member in RUN_FIELDS]
    good = [before if kind in ("int", "long") else b"\0" for kind in kinds]
    with pytest.raises(Rejected) as refusal:
        record([whole_step(member) for member in RUN_FIELDS])(b"".join(good[:place]), 0, bytearray(), run())
    assert (refusal.value.reason, refusal.value.path) == (Reason.TRUNCATED, field.path)
    if kinds[place] in ("int", "long"):
        return
    broken = b"".join([*good[:place], b"\3", *good[place + 1 :]])
    with pytest.raises(Rejected) as refusal:
        record([whole_step(member) for member in RUN_FIELDS])(broken, 0, bytearray(), run())
    reason = Reason.BAD_BOOLEAN if kinds[place] == "boolean" else Reason.BAD_ENUM_INDEX
    assert (refusal.value.reason, refusal.value.path) == (reason, field.path)


@pytest.mark.parametrize("node", [Primitive("int"), Primitive("long")], ids=["int", "long"])
@given(number=values(Primitive("long")), length=st.integers(1, 10))
def test_a_number_is_copied_as_it_stands_only_in_its_shortest_form(node: Primitive, number: int, length: int) -> None:
    """The pattern of a number takes canonical encodings within its type, all of the usual sizes among them."""
    pattern = as_it_stands(node)
    assert pattern is not None
    bits = 32 if node.name == "int" else 64
    legal = -(2 ** (bits - 1)) <= number < 2 ** (bits - 1)
    encoded = varint(number, length=length)
    canonical = encoded == varint(number)
    taken = re.compile(pattern, re.DOTALL).fullmatch(encoded) is not None
    assert not taken or (legal and canonical)
    assert taken or not canonical or len(encoded) > (4 if bits == 32 else 9)


@pytest.mark.parametrize(
    ("node", "pattern"),
    [
        pytest.param(Primitive("boolean"), b"[\0\1]", id="a boolean"),
        pytest.param(Primitive("string"), None, id="a string has to be UTF-8"),
        pytest.param(Primitive("double"), None, id="a double has to be finite"),
        pytest.param(TYPES["wide enum"], None, id="an enum that may take two bytes"),
        pytest.param(Fixed("F", 1), None, id="a fixed holds any byte"),
    ],
)
def test_which_types_may_be_part_of_a_run(node: AvroType, pattern: bytes | None) -> None:
    """A type is part of a run if a pattern tells its legal encodings."""
    assert as_it_stands(node) == pattern


@pytest.mark.parametrize("size", [1, 2, 3, 47, 48, 63, 64])
def test_the_pattern_of_an_enum_is_its_indexes(size: int) -> None:
    """The pattern of an enum matches the zig-zag of its indexes and no other byte, `]` and `^` among them."""
    pattern = as_it_stands(Enumeration("E", tuple(f"s{number}" for number in range(size))))
    assert pattern is not None
    legal = [byte for byte in range(256) if re.compile(pattern, re.DOTALL).fullmatch(bytes([byte]))]
    assert legal == [index * 2 for index in range(size)]
