"""What is read of a message before anything else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import decode
from ingest.problems import Reason, Rejected
from schemas.catalogue import load_catalogue
from schemas.report_schema import CONSENT_PURPOSES
from tests.any_encoding import varint
from tests.strategies import any_encoding, encode, reports

CATALOGUE = load_catalogue()
SCHEMAS = CATALOGUE.by_fingerprint
PREFIX = CATALOGUE.latest["health_window"].message_prefix


@pytest.mark.parametrize("name", sorted(CATALOGUE.latest))
@settings(max_examples=15)
@given(st.data())
def test_the_preamble_is_what_was_encoded(name: str, data: st.DataObject) -> None:
    """Schema, id, window, consents and region are those that the device wrote, in any encoding."""
    schema = CATALOGUE.latest[name]
    values: dict[str, Any] = data.draw(reports(schema))
    seed = data.draw(st.integers(0, 2**32))
    for message in (encode(schema, values), any_encoding(schema, values, seed)):
        report = decode(message, SCHEMAS)
        assert report.schema is schema
        assert report.message == message
        assert report.report_id == values["report_id"]
        assert (report.window_start, report.window_end) == (values["window_start"], values["window_end"])
        assert report.consents == {purpose for purpose in CONSENT_PURPOSES if values[f"consent_{purpose}"]}
        assert report.region == values["region"]


REFUSED = [
    pytest.param(b"", Reason.BAD_MARKER, None, id="nothing"),
    pytest.param(b"\xc3", Reason.BAD_MARKER, None, id="half a marker"),
    pytest.param(b"\xc3\x02" + PREFIX[2:], Reason.BAD_MARKER, None, id="another version of the encoding"),
    pytest.param(b"Obj\x01" + bytes(40), Reason.BAD_MARKER, None, id="an Avro file"),
    pytest.param(b"\x00\x00\x00\x00\x01" + bytes(40), Reason.BAD_MARKER, None, id="a registry's framing"),
    pytest.param(b'{"report_id": 1}', Reason.BAD_MARKER, None, id="JSON"),
    pytest.param(b"\xc3\x01", Reason.TRUNCATED, None, id="a marker alone"),
    pytest.param(PREFIX[:9], Reason.TRUNCATED, None, id="seven bytes of a fingerprint"),
    pytest.param(PREFIX[:2] + bytes(8), Reason.UNKNOWN_SCHEMA, None, id="a fingerprint that nobody has"),
    pytest.param(PREFIX[:2] + PREFIX[:1:-1], Reason.UNKNOWN_SCHEMA, None, id="a fingerprint the wrong way round"),
    pytest.param(PREFIX + bytes(15), Reason.TRUNCATED, None, id="15 bytes of a report id"),
    pytest.param(PREFIX + bytes(16) + b"\xff" * 11, Reason.BAD_VARINT, "window_start", id="a window that does not end"),
    pytest.param(
        PREFIX + bytes(16) + b"\0" + b"\xff" * 9 + b"\2", Reason.BAD_VARINT, "window_end", id="a window over 64 bits"
    ),
    pytest.param(
        PREFIX + bytes(18) + b"\0\2\0\0", Reason.BAD_BOOLEAN, "consent_diagnostics", id="a consent that is neither"
    ),
    pytest.param(PREFIX + bytes(21) + b"\4", Reason.BAD_UNION_INDEX, "region", id="a third branch"),
    pytest.param(PREFIX + bytes(21) + b"\2\1", Reason.BAD_LENGTH, "region", id="a region of length -1"),
    pytest.param(PREFIX + bytes(21) + b"\2\4\xff\xff", Reason.BAD_UTF8, "region", id="a region that is no UTF-8"),
    pytest.param(PREFIX + bytes(21) + b"\2" + varint(2**62), Reason.TRUNCATED, None, id="a region beyond the message"),
]


@pytest.mark.parametrize(("message", "reason", "path"), REFUSED)
def test_refuses(message: bytes, reason: Reason, path: str | None) -> None:
    """What is no message of a known schema, or has a broken preamble, is refused at once."""
    with pytest.raises(Rejected) as refusal:
        decode(message, SCHEMAS)
    assert (refusal.value.reason, refusal.value.path) == (reason, path)


def test_only_the_preamble_is_read() -> None:
    """What comes after the preamble is not looked at here: the walk that strips it checks it."""
    report = decode(PREFIX + bytes(22) + b"\xff" * 5, SCHEMAS)
    assert (report.region, report.consents) == (None, frozenset())
