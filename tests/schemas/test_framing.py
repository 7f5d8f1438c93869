"""Both framings: what a value begins with, and what cannot be told of one that begins otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.framing import (
    CONFLUENT_BYTES,
    LARGEST_ID,
    SINGLE_OBJECT,
    SINGLE_OBJECT_BYTES,
    ByIds,
    NotFramed,
    confluent,
    id_reference,
    own_id,
    single_object,
    split,
)

FINGERPRINT = bytes.fromhex("0123456789abcdef")
TOPIC = "tidegate.managed.route_window.v1"


@given(body=st.binary(max_size=40), fingerprint=st.binary(min_size=8, max_size=8))
def test_a_single_object_message_names_its_fingerprint(body: bytes, fingerprint: bytes) -> None:
    """The fingerprint of a single-object message and its body are told apart, whatever both are."""
    value = single_object(fingerprint) + body
    assert value[:2] == b"\xc3\x01"
    assert split(value) == (fingerprint, 10)
    assert value[10:] == body


@given(body=st.binary(max_size=40), schema_id=st.integers(1, LARGEST_ID))
def test_a_value_of_confluent_names_its_id(body: bytes, schema_id: int) -> None:
    """The id of a value in Confluent's framing, big-endian behind a zero, and its body are told apart."""
    value = confluent(schema_id) + body
    assert value == b"\0" + schema_id.to_bytes(4, "big") + body
    assert split(value) == (id_reference(schema_id), 5)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xc3", id="half a marker"),
        pytest.param(b"\xc3\x02" + bytes(20), id="another version of the encoding"),
        pytest.param(single_object(FINGERPRINT)[: SINGLE_OBJECT_BYTES - 1], id="cut in the fingerprint"),
        pytest.param(confluent(1)[: CONFLUENT_BYTES - 1], id="cut in the id"),
        pytest.param(b"\1" + bytes(20), id="a later version of Confluent's framing"),
        pytest.param(b'{"type": "record"}', id="JSON"),
    ],
)
def test_what_begins_otherwise_is_not_framed(value: bytes) -> None:
    """A value that begins as neither framing, or ends before its body could begin, is told apart."""
    with pytest.raises(NotFramed):
        split(value)


@pytest.mark.parametrize("schema_id", [0, -1, LARGEST_ID + 1])
def test_what_no_registry_gives_is_no_id(schema_id: int) -> None:
    """Zero, negative numbers, and what does not fit a signed 32-bit number are refused as ids."""
    with pytest.raises(ValueError, match="no schema id"):
        confluent(schema_id)


def test_an_own_id_is_31_bits_of_the_fingerprint() -> None:
    """The own id is the fingerprint's number, as devices and records have it, without all but its lowest 31 bits."""
    assert own_id(FINGERPRINT) == 0x67452301
    assert own_id(b"\xff" * 8) == LARGEST_ID


def test_a_framing_by_ids_writes_nothing_without_one() -> None:
    """A schema in a topic is framed by its id there, one that was never given an id by none, and ids are only added."""
    framing = ByIds()
    framing.add({(TOPIC, FINGERPRINT): 7})
    framing.add({("another", FINGERPRINT): 8})
    assert framing.prefix(TOPIC, FINGERPRINT) == confluent(7)
    assert framing.prefix("another", FINGERPRINT) == confluent(8)
    with pytest.raises(KeyError):
        framing.prefix(TOPIC, bytes(8))
    assert SINGLE_OBJECT.prefix(TOPIC, FINGERPRINT) == single_object(FINGERPRINT)
