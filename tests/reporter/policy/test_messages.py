"""Queued bytes: what they are, where identifiers go, and that nothing of a value is in an error."""

import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporter import messages
from reporter.messages import BadMessage, Message, NotEncodable, encode, with_identifiers
from reporter.reports import FINGERPRINTS, IDENTIFIERS, schema
from schemas.catalogue import load_catalogue
from tests import reference_strip
from tests.strategies import encode as gate_encode
from tests.strategies import reports

LATEST = load_catalogue().latest
NO_ONE = dict.fromkeys(IDENTIFIERS)

over_reports = pytest.mark.parametrize("report", sorted(FINGERPRINTS))


@over_reports
@settings(max_examples=10)
@given(st.data())
def test_bytes_are_those_of_the_gates_own_writer(report: str, data: st.DataObject) -> None:
    """A queued message is the canonical encoding of its values, with six null bytes where identifiers would be."""
    values = data.draw(reports(LATEST[report])) | NO_ONE
    message = encode(report, values)
    assert (message.content == gate_encode(LATEST[report], values)) is True
    assert message.content[message.identifiers_at :][: len(IDENTIFIERS)] == bytes(6)


@over_reports
@settings(max_examples=10)
@given(data=st.data(), names=st.dictionaries(st.sampled_from(IDENTIFIERS), st.text(max_size=200)))
def test_identifiers_are_put_in_their_places(report: str, data: st.DataObject, names: dict[str, str]) -> None:
    """What is sent is the message that would have been made with the identifiers, byte for byte."""
    values = data.draw(reports(LATEST[report])) | NO_ONE
    told = with_identifiers(encode(report, values), names)
    assert (told == gate_encode(LATEST[report], values | names)) is True
    assert reference_strip.decode(LATEST[report], told)[1] == 0


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8191, 8192, 100_000])
def test_identifiers_of_any_length(length: int) -> None:
    """The length of a name is written as Avro writes it, however many bytes that takes."""
    values = blank("health_window")
    told = with_identifiers(encode("health_window", values), {"serial": "é" * length})
    assert (told == gate_encode(LATEST["health_window"], values | {"serial": "é" * length})) is True


def blank(report: str) -> dict[str, Any]:
    """A report that says nothing."""
    return {field.name: field.blank() for field in schema(report).fields}


PLANTED = "tango-foxtrot"

UNFIT = [
    pytest.param({"os": 17}, id="another type"),
    pytest.param({"hardware_tier": PLANTED}, id="no symbol"),
    pytest.param({"report_id": PLANTED}, id="a text for bytes"),
    pytest.param({"window_start": 2**70}, id="more than 64 bits"),
    pytest.param({"os": f"{PLANTED}\ud800"}, id="no UTF-8"),
    pytest.param({"attributes": [PLANTED]}, id="a list for a map"),
    pytest.param({"user_email": PLANTED}, id="an identifier"),
    pytest.param({"device_id": ""}, id="an empty identifier"),
]


@pytest.mark.parametrize("values", UNFIT)
def test_what_cannot_be_queued(values: dict[str, Any]) -> None:
    """Values that the schema does not take, and any identifier, are refused by the report's name alone."""
    with pytest.raises(NotEncodable) as refusal:
        encode("health_window", blank("health_window") | values)
    assert str(refusal.value) == "health_window"
    assert PLANTED not in "".join(traceback.format_exception(refusal.value))


BAD_MESSAGES = [
    pytest.param(Message(bytes(40), 36), {}, id="too short for six identifiers"),
    pytest.param(Message(b"\x02" * 40, 30), {}, id="no null bytes at that place"),
    pytest.param(Message(bytes(40), 30), {PLANTED: "x"}, id="no identifier of that name"),
    pytest.param(Message(bytes(40), 30), {"attributes": PLANTED}, id="attributes are never sent"),
    pytest.param(Message(bytes(40), 30), {"serial": f"{PLANTED}\ud800"}, id="no UTF-8"),
]


@pytest.mark.parametrize(("message", "names"), BAD_MESSAGES)
def test_what_cannot_be_sent(message: Message, names: dict[str, str]) -> None:
    """A message that is none, and a name that may not be put in, are refused without a word of them."""
    with pytest.raises(BadMessage) as refusal:
        with_identifiers(message, names)
    assert PLANTED not in "".join(traceback.format_exception(refusal.value))


def test_the_place_is_found_for_any_preamble() -> None:
    """Times of every length and regions of every length move the identifiers, and are followed."""
    for time in (0, 63, 64, 1_795_266_000_000, 2**63 - 1, -(2**63)):
        for region in (None, "", "r", "r" * 64, "r" * 9000):
            values = blank("trace_window") | {"window_start": time, "window_end": time, "region": region}
            at = encode("trace_window", values).identifiers_at
            rest = messages.Message(encode("trace_window", values).content, at)
            assert reference_strip.decode(LATEST["trace_window"], with_identifiers(rest, {"device_id": "d"}))[0] == (
                values | {"device_id": "d"}
            )
