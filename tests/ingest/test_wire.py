"""The strict primitives of Avro's binary encoding."""

import io
import struct

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.problems import Reason, Rejected
from ingest.wire import (
    ONE_BYTE,
    check_double,
    encode_long,
    encode_string,
    read_boolean,
    read_fixed,
    read_index,
    read_int,
    read_long,
    read_present,
    read_string,
)
from tests.any_encoding import varint

LONG = fastavro.parse_schema({"type": "long"})
LONGS = st.integers(-(2**63), 2**63 - 1)


@given(LONGS)
def test_longs_are_written_as_fastavro_writes_them(number: int) -> None:
    """Every 64-bit number gets the one shortest encoding."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, LONG, number)
    assert encode_long(number) == out.getvalue()


@given(LONGS, st.integers(1, 10), st.binary(max_size=3))
def test_longs_are_read_in_every_length(number: int, length: int, after: bytes) -> None:
    """A varint of any length up to ten bytes is read, and nothing after it."""
    encoded = varint(number, length=length)
    assert read_long(b"ab" + encoded + after, 2, "path") == (number, 2 + len(encoded))


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1, -1, 0, 1, 63, 64, -64, -65])
def test_longs_at_the_borders_of_their_lengths(number: int) -> None:
    """Numbers at which the encoding grows are read as they were written."""
    assert read_long(encode_long(number), 0, "path") == (number, len(encode_long(number)))


def test_one_byte_numbers_are_those_of_encode_long() -> None:
    """The table of one-byte numbers agrees with what longer numbers are written by."""
    assert list(ONE_BYTE) == [varint(number) for number in range(64)]


TOO_LONG = [
    pytest.param(b"\x80" * 10 + b"\0", id="eleven bytes"),
    pytest.param(b"\xff" * 30, id="no end within reach"),
    pytest.param(b"\xff" * 9 + b"\x02", id="a 65th bit in the tenth byte"),
    pytest.param(b"\x80" * 9 + b"\x7f", id="seven bits in the tenth byte"),
]


@pytest.mark.parametrize("encoded", TOO_LONG)
def test_varints_over_64_bits_are_refused(encoded: bytes) -> None:
    """A varint is refused once it is longer than ten bytes, or tells more than 64 bits."""
    with pytest.raises(Rejected) as refusal:
        read_long(encoded, 0, "some.path")
    assert (refusal.value.reason, refusal.value.path) == (Reason.BAD_VARINT, "some.path")


@given(st.integers(-(2**40), 2**40))
def test_ints_hold_32_bits(number: int) -> None:
    """An int is what fits 32 bits; anything wider is refused."""
    if -(2**31) <= number < 2**31:
        assert read_int(encode_long(number), 0, "path")[0] == number
    else:
        with pytest.raises(Rejected) as refusal:
            read_int(encode_long(number), 0, "path")
        assert refusal.value.reason is Reason.INT_OUT_OF_RANGE


@pytest.mark.parametrize(("index", "legal"), [(-1, False), (0, True), (2, True), (3, False)])
def test_indexes_stay_within_their_size(index: int, legal: bool) -> None:
    """An index is refused below 0, which fastavro counts from the end, and from its size on."""
    if legal:
        assert read_index(encode_long(index), 0, 3, Reason.BAD_ENUM_INDEX, "path") == (index, 1)
    else:
        with pytest.raises(Rejected) as refusal:
            read_index(encode_long(index), 0, 3, Reason.BAD_ENUM_INDEX, "path")
        assert refusal.value.reason is Reason.BAD_ENUM_INDEX


@pytest.mark.parametrize("byte", range(256))
def test_booleans_are_0_or_1(byte: int) -> None:
    """Of the 256 bytes two are booleans."""
    if byte < 2:
        assert read_boolean(bytes([byte]), 0, "path") == (byte == 1, 1)
    else:
        with pytest.raises(Rejected) as refusal:
            read_boolean(bytes([byte]), 0, "path")
        assert refusal.value.reason is Reason.BAD_BOOLEAN


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [(b"\0", (False, 1)), (b"\2", (True, 1)), (b"\x80\0", (False, 2)), (b"\x82\x80\0", (True, 3))],
)
def test_presence_in_every_length(encoded: bytes, expected: tuple[bool, int]) -> None:
    """The branch of a nullable field is read in its short form and in longer ones."""
    assert read_present(encoded, 0, "path") == expected


@pytest.mark.parametrize("encoded", [b"\1", b"\3", b"\4", b"\x84\0"])
def test_a_union_has_two_branches(encoded: bytes) -> None:
    """Any branch but null and the value is refused."""
    with pytest.raises(Rejected) as refusal:
        read_present(encoded, 0, "path")
    assert refusal.value.reason is Reason.BAD_UNION_INDEX


@given(st.binary(max_size=40))
def test_strings_are_utf8_as_python_knows_it(text: bytes) -> None:
    """Bytes are a string exactly if Python decodes them, and the refusal does not hold what was sent."""
    try:
        text.decode()
    except UnicodeDecodeError:
        with pytest.raises(Rejected) as refusal:
            read_string(encode_string(text), 0, "path")
        assert refusal.value.reason is Reason.BAD_UTF8
        assert refusal.value.__cause__ is None
        assert refusal.value.args == ("bad_utf8",)
    else:
        assert read_string(encode_string(text), 0, "path") == (text, len(encode_string(text)))


def test_a_negative_length_is_refused() -> None:
    """A string does not have fewer than no bytes."""
    with pytest.raises(Rejected) as refusal:
        read_string(encode_long(-1), 0, "path")
    assert refusal.value.reason is Reason.BAD_LENGTH


@pytest.mark.parametrize("size", [1, 2**62])
def test_reads_end_with_the_message(size: int) -> None:
    """A length beyond the message is an IndexError, as any read beyond it is, and takes no memory."""
    with pytest.raises(IndexError):
        read_fixed(b"abc", 3, size)
    with pytest.raises(IndexError):
        read_string(encode_long(size + 3) + b"abc", 0, "path")
    assert read_fixed(b"abc", 3, 0) == (b"", 3)


@given(st.floats())
def test_doubles_are_finite(number: float) -> None:
    """A double is taken unless it is infinite or no number."""
    encoded = struct.pack("<d", number)
    if abs(number) <= 1.7976931348623157e308:
        assert check_double(b"x" + encoded, 1, "path") == 9
    else:
        with pytest.raises(Rejected) as refusal:
            check_double(encoded, 0, "path")
        assert refusal.value.reason is Reason.NOT_FINITE


def test_a_short_double_ends_with_the_message() -> None:
    """Seven bytes are no double."""
    with pytest.raises(IndexError):
        check_double(bytes(7), 0, "path")
