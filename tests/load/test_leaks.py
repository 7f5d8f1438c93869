"""The leak scanner finds every form it promises, in every kind of place, and tells nothing of what it found."""

import base64
import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pytest
import zstandard

from load.leaks import LARGE_BYTES, Leak, Scanner, forms

MAIL = "Ada.Lovelace/7@example.org"
NAME = "Zoë Müller 東京"
BLOB = bytes(range(120, 152))

SEED = 20261121
NOISE = random.Random(SEED).randbytes(40_000)


def found(value: str | bytes, place: object) -> list[Leak]:
    """The leaks of one value in one place."""
    return Scanner({"planted": value}).scan({"place": place})


def amid(written: bytes) -> bytes:
    """A place that holds these bytes somewhere among others."""
    return NOISE[:20_001] + written + NOISE[20_001:]


def sha256(value: bytes) -> bytes:
    """The digest, raw."""
    return hashlib.sha256(value).digest()


WAYS: list[object] = [
    pytest.param(lambda v: v, id="plain"),
    pytest.param(lambda v: v.lower(), id="lower case"),
    pytest.param(lambda v: v.upper(), id="upper case"),
    pytest.param(lambda v: v.hex().encode(), id="hex"),
    pytest.param(lambda v: v.hex().upper().encode(), id="hex in upper case"),
    pytest.param(base64.b64encode, id="base64"),
    pytest.param(lambda v: base64.b64encode(b"{" + v + b"}"), id="base64, one byte in front"),
    pytest.param(lambda v: base64.b64encode(b"{:" + v + b"}"), id="base64, two bytes in front"),
    pytest.param(lambda v: base64.urlsafe_b64encode(b"\xff" + v).rstrip(b"="), id="base64 for URLs, without padding"),
    pytest.param(lambda v: v.decode().encode("utf-16"), id="UTF-16 of this machine"),
    pytest.param(lambda v: v.decode().encode("utf-16-be"), id="UTF-16 of the network"),
    pytest.param(lambda v: quote(v).encode(), id="percent encoding, slashes left"),
    pytest.param(lambda v: quote(v, safe="").encode(), id="percent encoding"),
    pytest.param(lambda v: quote_plus(v).encode(), id="percent encoding of a form"),
    pytest.param(lambda v: "".join(f"%{byte:02x}" for byte in v).encode(), id="percent encoding of every byte"),
    pytest.param(lambda v: json.dumps({"k": v.decode()}).encode(), id="JSON"),
    pytest.param(lambda v: json.dumps(v.decode()).replace("/", r"\/").encode(), id="JSON as PHP writes it"),
    pytest.param(lambda v: "".join(f"\\u{ord(char):04X}" for char in v.decode()).encode(), id="JSON escapes"),
    pytest.param(lambda v: repr(v).encode(), id="as Python shows bytes"),
    pytest.param(lambda v: hashlib.md5(v, usedforsecurity=False).hexdigest().encode(), id="MD5"),
    pytest.param(lambda v: hashlib.sha1(v, usedforsecurity=False).digest(), id="SHA-1, raw"),
    pytest.param(lambda v: sha256(v).hex().upper().encode(), id="SHA-256 in upper case hex"),
    pytest.param(lambda v: sha256(v.lower()).hex().encode(), id="SHA-256 of the lower case"),
    pytest.param(lambda v: base64.b64encode(b"h" + hashlib.sha512(v).digest()), id="SHA-512 in base64 behind a byte"),
    pytest.param(lambda v: base64.urlsafe_b64encode(sha256(v)).rstrip(b"="), id="SHA-256 in base64 for URLs"),
]


@pytest.mark.parametrize("value", [pytest.param(MAIL, id="ASCII"), pytest.param(NAME, id="beyond ASCII")])
@pytest.mark.parametrize("way", WAYS)
def test_a_value_is_found_however_it_is_written(way: Callable[[bytes], bytes], value: str) -> None:
    """A value is found in the middle of other bytes, in every form in which it is likely to come out."""
    assert found(value, amid(way(value.encode())))


@pytest.mark.parametrize("value", [MAIL, NAME, BLOB])
def test_every_form_is_found_by_its_name(value: str | bytes) -> None:
    """Each form that the scanner knows of a value is reported under its own name."""
    raw = value if isinstance(value, bytes) else value.encode()
    for form, written in forms(raw):
        assert Leak("place", "planted", form) in found(value, amid(written)), form


@pytest.mark.parametrize(
    "compress",
    [
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(zlib.compress, id="zlib"),
        pytest.param(zstandard.compress, id="zstd"),
        pytest.param(lambda content: gzip.compress(content)[:-300], id="gzip cut short"),
        pytest.param(lambda content: gzip.compress(content)[:-300] + bytes(300), id="gzip with a broken end"),
    ],
)
def test_what_is_compressed_is_searched(compress: Callable[[bytes], bytes]) -> None:
    """A value inside a compressed stream is found, wherever the stream begins and however it ends."""
    stream = compress(MAIL.encode() + b" and more of the kind. " * 100 + NOISE[:2000])
    leaks = found(MAIL, b"HTTP/1.1 200 OK\r\n\r\n" + stream)
    assert any(leak.form.startswith("plain, in ") for leak in leaks)


@pytest.mark.parametrize("offset", range(8))
def test_large_places_are_searched_to_their_ends(offset: int) -> None:
    """In a place that is searched by numbers of eight bytes, a value is found at every offset, first and last."""
    value, zeros = MAIL.encode(), bytes(LARGE_BYTES)
    for place in (bytes(offset) + value + zeros, bytes(offset) + zeros + value, bytes(offset) + zeros + value + zeros):
        assert found(MAIL, place) == [Leak("place", "planted", "plain")]
        assert found(NAME, place) == []
        assert found(MAIL, place.replace(value, value[:-1])) == []


def test_every_form_is_found_in_a_large_place() -> None:
    """The fast search of a large place finds each form that the plain one finds."""
    written = b"/".join(needle for value in (MAIL.encode(), NAME.encode(), BLOB) for _, needle in forms(value))
    plain = Scanner({"mail": MAIL, "name": NAME, "blob": BLOB})
    assert len(written) < LARGE_BYTES < len(NOISE * 2)
    fast = {leak for leak in plain.scan({"place": NOISE + NOISE + written}) if ", in " not in leak.form}
    assert fast == {leak for leak in plain.scan({"place": written}) if ", in " not in leak.form}


TREES = [
    pytest.param({"rows": [{"model": MAIL}]}, id="a value"),
    pytest.param({MAIL: 1}, id="a key"),
    pytest.param({"outer": {"attributes": {"x": [None, True, MAIL.encode()]}}}, id="bytes, deep inside"),
    pytest.param([("a", MAIL)], id="a tuple"),
    pytest.param(f"a line with {MAIL} in it", id="a text"),
]


@pytest.mark.parametrize("tree", TREES)
def test_decoded_values_are_searched(tree: object) -> None:
    """Keys and values of a decoded tree are searched, at any depth and of any type."""
    assert [leak.form for leak in found(MAIL, tree)] == ["plain"]


def test_numbers_and_times_of_a_tree_are_searched() -> None:
    """What is no text in a tree is searched as it would be printed."""
    moment = datetime(2026, 11, 21, 8, 15, 17, tzinfo=UTC)
    leaks = Scanner({"number": "1740131907", "moment": "08:15:17+00:00"}).scan({"tree": {"n": 1740131907, "t": moment}})
    assert {leak.planted for leak in leaks} == {"number", "moment"}


def test_nothing_is_found_where_nothing_is() -> None:
    """Noise, other values, and the two halves of a value in two leaves of a tree are no leak."""
    assert not found(MAIL, NOISE)
    assert not found(MAIL, [MAIL[:9], MAIL[9:]])
    assert not found(MAIL, MAIL[:-1].encode() + b"!")
    assert not Scanner({}).scan({"place": MAIL})


def test_each_leak_names_its_place_and_value_once() -> None:
    """Several values in several places are told apart, and one that occurs often in a place is told once."""
    leaks = Scanner({"mail": MAIL, "name": NAME}).scan({"log": (MAIL * 3).encode(), "stderr": NAME, "metrics": b""})
    assert {(leak.place, leak.planted, leak.form) for leak in leaks} >= {
        ("log", "mail", "plain"),
        ("stderr", "name", "plain"),
    }
    assert len(leaks) == len(set(leaks))
    assert {leak.place for leak in leaks} == {"log", "stderr"}


def test_a_result_never_shows_the_value() -> None:
    """Neither a leak nor the error for a short value repeats what was planted."""
    assert MAIL not in repr(found(MAIL, MAIL))
    with pytest.raises(ValueError, match="short_one: a planted value must be at least 8 bytes long") as refused:
        Scanner({"short_one": "pc-17"})
    assert "pc-17" not in str(refused.value)


def test_a_shorter_value_is_refused_and_the_shortest_is_found() -> None:
    """Eight bytes are enough for every form, base64 at an odd offset among them."""
    assert found("12345678", amid(base64.b64encode(b"x12345678xx")))
    with pytest.raises(ValueError, match="at least 8 bytes"):
        Scanner({"seven": "1234567"})
