"""One name for one value under one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.pseudonym import pseudonym

KEY = bytes(range(32))


def test_it_is_the_one_that_was_written_down() -> None:
    """The construction is fixed: another one would split every device of an epoch into two."""
    # openssl dgst -sha256 -mac HMAC -macopt hexkey:0001...1f over `device_id`, a zero byte and `device-1`: first half.
    assert pseudonym(KEY, "device_id", b"device-1") == b"4ba57da655d51fc8dfdae987034d5414"


@pytest.mark.parametrize(
    ("key", "path", "value"),
    [
        pytest.param(bytes(32), "device_id", b"device-1", id="another key"),
        pytest.param(KEY, "user_id", b"device-1", id="another field"),
        pytest.param(KEY, "device_id", b"device-2", id="another value"),
        pytest.param(KEY, "device_i", b"d\0device-1", id="the border between path and value elsewhere"),
    ],
)
def test_it_depends_on_key_field_and_value(key: bytes, path: str, value: bytes) -> None:
    """Whatever differs in key, field or value gives another pseudonym."""
    assert pseudonym(key, path, value) != pseudonym(KEY, "device_id", b"device-1")


@given(st.binary(max_size=64))
def test_it_is_32_hexadecimal_digits(value: bytes) -> None:
    """A pseudonym has one form, whatever the value, and does not hold it."""
    made = pseudonym(KEY, "device_id", value)
    assert len(made) == 32
    assert bytes.fromhex(made.decode()).hex().encode() == made
