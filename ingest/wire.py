"""Avro binary, read strictly: the primitives that decode and strip are made of.

Rules held here:

* every read is bounded by the message, and running past its end is `truncated` (an `IndexError` until `strip` or
  `decode` names the path);
* whatever the Avro 1.11 specification allows is read, sized and split blocks and overlong varints included; whatever is
  outside it is refused, which fastavro does not do (docs/adr/0002);
* what is written is the one canonical form: shortest varints, one unsized block.
"""

import math
import struct

from ingest.problems import Reason, Rejected

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1

ONE_BYTE = tuple(bytes([number << 1]) for number in range(64))
"""The encodings of 0 to 63; nearly all counts and lengths of a report are among them."""

_unpack_double = struct.Struct("<d").unpack_from


def read_long(buffer: bytes | bytearray, at: int, path: str) -> tuple[int, int]:
    """The zig-zag varint at `at` and the place after it; refuses over 10 bytes and over 64 bits."""
    byte = buffer[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    number = byte & 0x7F
    shift = 7
    while byte & 0x80:
        if shift > 63:
            raise Rejected(Reason.BAD_VARINT, path=path)
        byte = buffer[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
    if number >> 64:
        raise Rejected(Reason.BAD_VARINT, path=path)
    return (number >> 1) ^ -(number & 1), at


def read_int(buffer: bytes, at: int, path: str) -> tuple[int, int]:
    """As `read_long`, for the 32 bits of an Avro int."""
    number, at = read_long(buffer, at, path)
    if not INT_MIN <= number <= INT_MAX:
        raise Rejected(Reason.INT_OUT_OF_RANGE, path=path)
    return number, at


def read_index(buffer: bytes, at: int, size: int, reason: Reason, path: str) -> tuple[int, int]:
    """The index of an enum symbol or union branch, refused for `reason` unless 0 <= index < size."""
    number, at = read_long(buffer, at, path)
    if not 0 <= number < size:
        raise Rejected(reason, path=path)
    return number, at


def read_boolean(buffer: bytes, at: int, path: str) -> tuple[bool, int]:
    """One byte, 0 or 1."""
    byte = buffer[at]
    if byte > 1:
        raise Rejected(Reason.BAD_BOOLEAN, path=path)
    return byte == 1, at + 1


def read_present(buffer: bytes, at: int, path: str) -> tuple[bool, int]:
    """The index of a `["null", T]` union: whether a T follows."""
    byte = buffer[at]
    if byte == 0:
        return False, at + 1
    if byte == 2:
        return True, at + 1
    index, at = read_index(buffer, at, 2, Reason.BAD_UNION_INDEX, path)
    return index == 1, at


def read_string(buffer: bytes, at: int, path: str) -> tuple[bytes, int]:
    """The UTF-8 bytes of a string, checked to be UTF-8."""
    length, at = read_long(buffer, at, path)
    if length < 0:
        raise Rejected(Reason.BAD_LENGTH, path=path)
    text, at = read_fixed(buffer, at, length)
    if not text.isascii() and not _is_utf8(text):
        raise Rejected(Reason.BAD_UTF8, path=path)
    return text, at


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:  # it carries the bytes, and goes no further
        return False
    return True


def read_fixed(buffer: bytes, at: int, size: int) -> tuple[bytes, int]:
    """`size` bytes; raises `IndexError` if they are not all there, as indexing does."""
    end = at + size
    if end > len(buffer):
        raise IndexError
    return buffer[at:end], end


def check_double(buffer: bytes, at: int, path: str) -> int:
    """The place after a finite 8-byte floating-point number."""
    _, end = read_fixed(buffer, at, 8)
    if not math.isfinite(_unpack_double(buffer, at)[0]):
        raise Rejected(Reason.NOT_FINITE, path=path)
    return end


def encode_long(number: int) -> bytes:
    """The shortest zig-zag varint of a 64-bit number."""
    if 0 <= number < 64:
        return ONE_BYTE[number]
    rest = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def encode_string(text: bytes) -> bytes:
    """Length and bytes of a string given as UTF-8."""
    return encode_long(len(text)) + text
