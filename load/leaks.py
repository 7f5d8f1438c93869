"""Searches for planted values wherever something may have leaked: plain, encoded, or hashed without a key.

    scanner = Scanner({"user_email": "ada@example.org"})
    leaks = scanner.scan({"log": log_bytes, "metrics": metrics_text, "decoded": decoded_records})

Rules held here:

* a leak is told as (place, name of the planted value, form); the value itself is in no result and in no error;
* every form of every value is looked for in one pass over a place: the first bytes of each form are the key of a table,
  and a place is read once, whatever the number of values (70,000 forms over 60 MB take about 1.3 s);
* what is compressed inside a place (gzip, zlib, zstd, at any offset) is decompressed and searched as well;
* a value is at least 8 bytes long, so that base64 at an odd offset still leaves 8 characters which nothing else shows
  by chance.

A search that finds nothing proves something only beside one that finds a value which ought to be there; whoever calls
this plants such a control in every place.
"""

import base64
import hashlib
import json
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc
import zstandard

KEY_BYTES = 8
"""How much of a form is looked up before the rest is compared: a 64-bit number, as Arrow looks them up."""

LARGE_BYTES = 64 << 10
"""From here on Arrow is faster, which makes a table of the keys for every place (a few ms for 70,000)."""

MAX_EXPANDED = 64 << 20
"""Bytes that one compressed stream may become; what is scanned was bounded at 1 MiB when it was sent."""

HASHES = ("md5", "sha1", "sha256", "sha512")


class Leak(NamedTuple):
    """A planted value was found in `place`, written as `form`."""

    place: str
    planted: str
    form: str


class Scanner:
    """Knows every form of the planted values; raises ValueError for one that is too short to be told from chance."""

    def __init__(self, planted: Mapping[str, str | bytes]) -> None:
        self._forms: dict[bytes, list[tuple[bytes, str, str]]] = {}
        for name, value in planted.items():
            for form, needle in forms(_as_bytes(value)):
                if len(needle) < KEY_BYTES:
                    raise ValueError(f"{name}: a planted value must be at least {KEY_BYTES} bytes long")
                self._forms.setdefault(needle[:KEY_BYTES], []).append((needle, name, form))
        self._keys = pa.array([int.from_bytes(key, sys.byteorder) for key in self._forms], pa.uint64())

    def scan(self, places: Mapping[str, object]) -> list[Leak]:
        """The leaks in `places`: name -> bytes, text, or a tree of decoded values whose keys are searched as well."""
        return sorted({leak for place, content in places.items() for leak in self._scan_place(place, content)})

    def _scan_place(self, place: str, content: object) -> Iterator[Leak]:
        haystack = content if isinstance(content, bytes) else b"\0".join(_leaves(content))
        for name, form in self._found(haystack):
            yield Leak(place, name, form)
        for coding, decoded in _decoded(haystack):
            for name, form in self._found(decoded):
                yield Leak(place, name, f"{form}, in {coding}")

    def _found(self, haystack: bytes) -> Iterator[tuple[str, str]]:
        table = self._forms
        places = range(len(haystack) - KEY_BYTES + 1)
        for at in places if len(places) < LARGE_BYTES else _places_of(self._keys, haystack):
            for needle, name, form in table.get(haystack[at : at + KEY_BYTES], ()):
                if haystack.startswith(needle, at):
                    yield name, form


def _places_of(keys: pa.UInt64Array, haystack: bytes) -> Iterator[int]:
    """Where one of the keys begins, in no order: the haystack is read as numbers from each of eight offsets."""
    for offset in range(KEY_BYTES):
        shifted = haystack[offset:]
        buffers = [None, pa.py_buffer(shifted)]
        numbers = pa.Array.from_buffers(pa.uint64(), len(shifted) // KEY_BYTES, buffers)
        for found in pc.indices_nonzero(pc.is_in(numbers, value_set=keys)).to_pylist():
            yield offset + found * KEY_BYTES


def forms(value: bytes) -> Iterator[tuple[str, bytes]]:
    """(name of the form, its bytes) for every way in which `value` is looked for; one way of writing comes once."""
    seen: set[bytes] = set()
    for name, written in _written(value):
        if written not in seen:
            seen.add(written)
            yield name, written


def _written(value: bytes) -> Iterator[tuple[str, bytes]]:
    yield "plain", value
    yield "lower case", value.lower()
    yield "upper case", value.upper()
    yield "backslash escapes", repr(value)[2:-1].encode()
    yield "reversed", value[::-1]
    yield from _hexadecimal("hex", value)
    yield from _base64("base64", value)
    yield from _percent(value)
    yield from _text_forms(value)
    yield from _hashes(value)


def _hexadecimal(name: str, value: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, value.hex().encode()
    yield f"{name}, upper case", value.hex().upper().encode()


def _base64(name: str, value: bytes) -> Iterator[tuple[str, bytes]]:
    """What is certain of the encoding at each of the three alignments: the characters that no neighbour touches."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value)
        certain = encoded[(8 * offset + 5) // 6 : 8 * (offset + len(value)) // 6]
        yield f"{name} at offset {offset}", certain
        yield f"{name} for URLs at offset {offset}", certain.translate(bytes.maketrans(b"+/", b"-_"))


def _percent(value: bytes) -> Iterator[tuple[str, bytes]]:
    yield "percent encoding", quote(value, safe="").encode()
    yield "percent encoding of a form", quote(value, safe=" ").replace(" ", "+").encode()
    whole = "".join(f"%{byte:02X}" for byte in value)
    yield "percent encoding of every byte", whole.encode()
    yield "percent encoding of every byte, lower case", whole.lower().encode()


def _text_forms(value: bytes) -> Iterator[tuple[str, bytes]]:
    """The forms that only text has."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield "UTF-16, little-endian", text.encode("utf-16-le")
    yield "UTF-16, big-endian", text.encode("utf-16-be")
    escaped = json.dumps(text)[1:-1]
    yield "JSON string", escaped.encode()
    yield "JSON string with escaped slashes", escaped.replace("/", "\\/").encode()
    units = re.findall("....", text.encode("utf-16-be").hex())
    yield "JSON escapes", "".join(f"\\u{unit}" for unit in units).encode()
    yield "JSON escapes, upper case", "".join(f"\\u{unit.upper()}" for unit in units).encode()


def _hashes(value: bytes) -> Iterator[tuple[str, bytes]]:
    """Unkeyed hashes of the value and of the value in lower case; whoever can guess the value can check the guess."""
    for of, hashed in (("", value), (" of the lower case", value.lower())):
        for algorithm in HASHES:
            digest = hashlib.new(algorithm, hashed, usedforsecurity=False).digest()
            name = f"{algorithm}{of}"
            yield name, digest
            yield from _hexadecimal(f"{name} in hex", digest)
            yield from _base64(f"{name} in base64", digest)


def _decoded(content: bytes) -> Iterator[tuple[str, bytes]]:
    """(coding, bytes without it) of whatever in `content` looks encoded; a broken stream as far as it goes."""
    if b"%" in content:  # which characters are escaped differs from writer to writer
        yield "percent encoding", unquote_to_bytes(content)
    whole = memoryview(content)  # its slices are no copies: such beginnings are in any large file, by chance
    for start in COMPRESSED.finditer(content):
        coding, expanded = _decompress(start[0], whole[start.start() :])
        if expanded:
            yield coding, expanded


COMPRESSED = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|\x78[\x01\x5e\x9c\xda]")
"""How gzip (RFC 1952), zstd (RFC 8878) and zlib (RFC 1950) streams begin."""


def _decompress(magic: bytes, stream: memoryview) -> tuple[str, bytes]:
    if magic == b"\x28\xb5\x2f\xfd":
        return "zstd", _unzstd(stream)
    gzip = magic.startswith(b"\x1f\x8b")
    return ("gzip" if gzip else "zlib"), _inflate(stream, zlib.MAX_WBITS | 16 if gzip else zlib.MAX_WBITS)


def _inflate(stream: memoryview, wbits: int) -> bytes:
    expanded = bytearray()
    inflater = zlib.decompressobj(wbits)
    # In pieces, so that what came before a fault is searched as well.
    for at in range(0, len(stream), 4096):
        try:
            expanded += inflater.decompress(stream[at : at + 4096], MAX_EXPANDED)
        except zlib.error:
            break
        if inflater.eof or len(expanded) >= MAX_EXPANDED:
            break
    return bytes(expanded)


def _unzstd(stream: memoryview) -> bytes:
    inflater = zstandard.ZstdDecompressor(max_window_size=1 << 23).decompressobj()
    expanded = bytearray()
    for at in range(0, len(stream), 4096):
        try:
            expanded += inflater.decompress(stream[at : at + 4096])
        except zstandard.ZstdError:
            break
        if inflater.eof or len(expanded) >= MAX_EXPANDED:
            break
    return bytes(expanded)


def _leaves(tree: Any) -> Iterator[bytes]:
    """Every key and value of a decoded tree as bytes."""
    match tree:
        case bytes() | str():
            yield _as_bytes(tree)
        case Mapping():
            for key, value in tree.items():
                yield from _leaves(key)
                yield from _leaves(value)
        case datetime():
            yield tree.isoformat().encode()
        case Sequence() | set() | frozenset():
            for item in tree:
                yield from _leaves(item)
        case _:
            yield str(tree).encode()


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
