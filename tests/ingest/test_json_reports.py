"""JSON for people with curl: what it may say, what is refused, and that it goes the way of every other message."""

import io
import json
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.body import MAX_REPORTS
from ingest.json_reports import encode_json, parse_json, split_json
from ingest.problems import Reason, Rejected
from schemas.catalogue import load_catalogue
from tests.made_up import made_up_schema
from tests.strategies import encode, reports

CATALOGUE = load_catalogue()
ROUTE = CATALOGUE.latest["route_window"]
ID = "00112233-4455-6677-8899-aabbccddeeff"

LEAST: dict[str, Any] = {
    "report_id": ID,
    "window_start": 0,
    "window_end": 1,
    "hardware_tier": "small",
    "network_context": "home",
}
"""A report that leaves out all that has a default."""

LEAST_ROW: dict[str, Any] = {
    "data_class": "public",
    "task_kind": "action",
    "input_size": "small",
    "authority": "local_safe",
    "device_approved": "approved",
    "planned_route": "edge",
    "actual_route": "edge",
    "decision_reason": "cost",
    "precision": "none",
}


@pytest.mark.parametrize("name", sorted(CATALOGUE.latest))
@settings(max_examples=12)
@given(st.data())
def test_json_says_what_avro_says(name: str, data: st.DataObject) -> None:
    """A report written as JSON becomes byte for byte the message that fastavro writes of it."""
    schema = CATALOGUE.latest[name]
    values: dict[str, Any] = data.draw(reports(schema))
    body = json.dumps(values | {"report_id": values["report_id"].hex()}).encode()
    [report] = split_json(body)
    message = encode_json(report, schema)
    assert (message.content == encode(schema, values), message.unknown) == (True, 0)


KEYS = st.sampled_from([*LEAST, "rows", "attributes"]) | st.text()
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(JSON_VALUES)
def test_any_json_is_a_report_or_refused(value: Any) -> None:
    """Whatever JSON holds, alone or in place of a field, raises nothing but a refusal at a path of the schema."""
    paths = set()
    for candidate in (value, *(LEAST | {name: value} for name in ("rows", "attributes", "window_start", "os"))):
        try:
            for report in split_json(json.dumps(candidate).encode()):
                encode_json(report, ROUTE)
        except Rejected as refusal:
            paths.add(refusal.path)
    assert paths <= {None, *ROUTE.fields}


def test_defaults_are_those_of_the_schema() -> None:
    """What is left out and has a default gets it."""
    content = io.BytesIO(encode_json(LEAST | {"rows": [LEAST_ROW]}, ROUTE).content[10:])
    decoded: Any = fastavro.schemaless_reader(content, ROUTE.parsed, None)
    assert decoded["report_id"] == UUID(ID).bytes
    assert (decoded["user_email"], decoded["attributes"], decoded["first_of_hour"]) == (None, {}, False)
    assert (decoded["rows"][0]["tasks"], decoded["rows"][0]["latency"]) == (0, None)


UNREADABLE = [
    pytest.param(b"", Reason.BAD_JSON, id="nothing"),
    pytest.param(b"{", Reason.BAD_JSON, id="half an object"),
    pytest.param(b"{'a': 1}", Reason.BAD_JSON, id="single quotes"),
    pytest.param(b'{"a": 1,}', Reason.BAD_JSON, id="a comma too many"),
    pytest.param(b'{"a": 1} {"a": 1}', Reason.BAD_JSON, id="two values"),
    pytest.param(b'{"a": 01}', Reason.BAD_JSON, id="a leading zero"),
    pytest.param(b'{"a": "\xff"}', Reason.BAD_JSON, id="no UTF-8"),
    pytest.param(b'{"a": "\n"}', Reason.BAD_JSON, id="an end of line in a string"),
    pytest.param(b'{"a": NaN}', Reason.NOT_FINITE, id="NaN"),
    pytest.param(b'{"a": -Infinity}', Reason.NOT_FINITE, id="minus infinity"),
    pytest.param(b'{"a": 1, "a": 1}', Reason.DUPLICATE_KEY, id="a key twice"),
    pytest.param(b'{"b": {"a": 1, "\\u0061": 1}}', Reason.DUPLICATE_KEY, id="a key twice, spelt in two ways, inside"),
    pytest.param(b"[" * 100_000, Reason.BAD_JSON, id="nesting without end"),
    pytest.param(b'{"a":' * 100_000, Reason.BAD_JSON, id="objects without end"),
    pytest.param(b'{"a": ' + b"9" * 5_000 + b"}", Reason.BAD_JSON, id="a number of 5,000 digits"),
]


@pytest.mark.parametrize(("body", "reason"), UNREADABLE)
def test_refuses_a_body(body: bytes, reason: Reason) -> None:
    """What is not JSON, or leaves open what it means, is refused whole, and the refusal holds nothing of it."""
    with pytest.raises(Rejected) as refusal:
        parse_json(body)
    assert (refusal.value.reason, refusal.value.path, refusal.value.__cause__) == (reason, None, None)


FIELDS = [
    pytest.param({"report_id": None}, Reason.WRONG_TYPE, "report_id", id="no id"),
    pytest.param({"report_id": ID[:-1]}, Reason.WRONG_TYPE, "report_id", id="an id too short"),
    pytest.param({"report_id": 5}, Reason.WRONG_TYPE, "report_id", id="an id that is a number"),
    pytest.param({"report_id": "g" * 32}, Reason.WRONG_TYPE, "report_id", id="an id that is not hexadecimal"),
    pytest.param({"window_start": 0.5}, Reason.WRONG_TYPE, "window_start", id="half a millisecond"),
    pytest.param({"window_start": 1.0}, Reason.WRONG_TYPE, "window_start", id="a whole number with a point"),
    pytest.param({"window_start": True}, Reason.WRONG_TYPE, "window_start", id="a flag for a number"),
    pytest.param({"window_start": None}, Reason.WRONG_TYPE, "window_start", id="null where there must be a number"),
    pytest.param({"window_start": 2**63}, Reason.INT_OUT_OF_RANGE, "window_start", id="a long over 64 bits"),
    pytest.param({"window_start": -(2**63) - 1}, Reason.INT_OUT_OF_RANGE, "window_start", id="a long below 64 bits"),
    pytest.param({"window_start": 10**400}, Reason.INT_OUT_OF_RANGE, "window_start", id="a number of 401 digits"),
    pytest.param({"window_start": "2026-11-21"}, Reason.WRONG_TYPE, "window_start", id="a date without a time"),
    pytest.param({"window_start": "2026-11-21T10:00:00"}, Reason.WRONG_TYPE, "window_start", id="no offset"),
    pytest.param({"window_start": "2026-13-21T10:00:00Z"}, Reason.WRONG_TYPE, "window_start", id="a 13th month"),
    pytest.param({"window_start": "noon"}, Reason.WRONG_TYPE, "window_start", id="a word"),
    pytest.param({"window_start": ""}, Reason.WRONG_TYPE, "window_start", id="an empty time"),
    pytest.param({"consent_location": 1}, Reason.WRONG_TYPE, "consent_location", id="a number for a flag"),
    pytest.param({"consent_location": "true"}, Reason.WRONG_TYPE, "consent_location", id="a word for a flag"),
    pytest.param({"os": 5}, Reason.WRONG_TYPE, "os", id="a number for a name"),
    pytest.param({"os": {"string": "linux"}}, Reason.WRONG_TYPE, "os", id="a union wrapper"),
    pytest.param({"os": "\ud800"}, Reason.BAD_UTF8, "os", id="a lone surrogate"),
    pytest.param({"attributes": {"\ud800": ""}}, Reason.BAD_UTF8, "attributes", id="a lone surrogate in a key"),
    pytest.param({"attributes": {"a": "\udfff"}}, Reason.BAD_UTF8, "attributes", id="a lone surrogate in a value"),
    pytest.param({"attributes": {"a": 1}}, Reason.WRONG_TYPE, "attributes", id="a number for an attribute"),
    pytest.param({"attributes": []}, Reason.WRONG_TYPE, "attributes", id="an array for a map"),
    pytest.param({"attributes": None}, Reason.WRONG_TYPE, "attributes", id="null for a map"),
    pytest.param({"hardware_tier": "huge"}, Reason.BAD_ENUM_INDEX, "hardware_tier", id="a symbol that is none"),
    pytest.param({"hardware_tier": 0}, Reason.BAD_ENUM_INDEX, "hardware_tier", id="an index for a symbol"),
    pytest.param({"hardware_tier": ["small"]}, Reason.BAD_ENUM_INDEX, "hardware_tier", id="an array for a symbol"),
    pytest.param({"rows": {}}, Reason.WRONG_TYPE, "rows", id="an object for an array"),
    pytest.param({"rows": [5]}, Reason.WRONG_TYPE, "rows", id="a number for a row"),
    pytest.param({"rows": [{}]}, Reason.MISSING_FIELD, "rows.data_class", id="a row without its dimensions"),
    pytest.param({"rows": [LEAST_ROW | {"tasks": 2**31}]}, Reason.INT_OUT_OF_RANGE, "rows.tasks", id="an int in a row"),
    pytest.param({"rows": [LEAST_ROW | {"latency": 5}]}, Reason.WRONG_TYPE, "rows.latency", id="a number for a record"),
    pytest.param(
        {"rows": [LEAST_ROW | {"latency": {"counts": [0, "x"]}}]}, Reason.WRONG_TYPE, "rows.latency.counts", id="deep"
    ),
]


@pytest.mark.parametrize(("change", "reason", "path"), FIELDS)
def test_refuses_a_field(change: dict[str, Any], reason: Reason, path: str) -> None:
    """A value that its field does not take is refused at the field's path."""
    [value] = split_json(json.dumps(LEAST | change).encode())
    with pytest.raises(Rejected) as refusal:
        encode_json(value, ROUTE)
    assert (refusal.value.reason, refusal.value.path, refusal.value.__cause__) == (reason, path, None)


@pytest.mark.parametrize("name", LEAST)
def test_refuses_a_missing_field(name: str) -> None:
    """A field without a default has to be there."""
    with pytest.raises(Rejected) as refusal:
        encode_json({other: value for other, value in LEAST.items() if other != name}, ROUTE)
    assert (refusal.value.reason, refusal.value.path) == (Reason.MISSING_FIELD, name)


@pytest.mark.parametrize("body", [b"5", b'"report"', b"null", b"true", b"[5]", b"[[]]"])
def test_refuses_what_is_no_object(body: bytes) -> None:
    """A report is an object."""
    [value] = split_json(body)
    with pytest.raises(Rejected) as refusal:
        encode_json(value, ROUTE)
    assert (refusal.value.reason, refusal.value.path) == (Reason.WRONG_TYPE, None)


SAME_ID = [ID, ID.replace("-", ""), ID.upper()]
NO_ID = [f"urn:uuid:{ID}", f"{{{ID}}}", " 0x" + "1" * 29, "1_" * 15 + "11", "+" + "1" * 31, "\u0661" * 32, "1" * 30, ""]


@pytest.mark.parametrize("spelling", NO_ID)
def test_an_id_has_no_other_spelling(spelling: str) -> None:
    """What Python alone takes for a UUID is refused, for two spellings of one id would be one report."""
    with pytest.raises(Rejected) as refusal:
        encode_json(LEAST | {"report_id": spelling}, ROUTE)
    assert (refusal.value.reason, refusal.value.path) == (Reason.WRONG_TYPE, "report_id")


@pytest.mark.parametrize("spelling", SAME_ID)
def test_an_id_is_a_uuid_or_hexadecimal(spelling: str) -> None:
    """The spellings of one id are one id."""
    assert encode_json(LEAST | {"report_id": spelling}, ROUTE) == encode_json(LEAST, ROUTE)


MARK = made_up_schema({"name": "mark", "type": {"type": "fixed", "name": "Mark", "size": 3}})


@pytest.mark.parametrize(("text", "legal"), [("0a0b0c", True), ("0a0b", False), ("0a0b0c0d", False), ("0a0b0", False)])
def test_a_fixed_of_another_size_is_hexadecimal(text: str, legal: bool) -> None:
    """A fixed that is no id is as many bytes as its type has."""
    value = {"report_id": ID, "window_start": 0, "window_end": 1, "mark": text}
    if legal:
        assert encode_json(value, MARK).content.endswith(bytes.fromhex(text))
    else:
        with pytest.raises(Rejected) as refusal:
            encode_json(value, MARK)
        assert (refusal.value.reason, refusal.value.path) == (Reason.WRONG_TYPE, "mark")


SAME_TIME = [
    "2026-11-21T10:00:00Z",
    "2026-11-21T11:00:00+01:00",
    "2026-11-21T10:00:00.000Z",
    "2026-11-21T04:30:00-05:30",
]


@pytest.mark.parametrize("spelling", SAME_TIME)
def test_a_time_is_milliseconds_or_rfc_3339(spelling: str) -> None:
    """The spellings of one moment are one number."""
    spelt = encode_json(LEAST | {"window_start": spelling}, ROUTE)
    assert spelt == encode_json(LEAST | {"window_start": 1_795_255_200_000}, ROUTE)


@pytest.mark.parametrize(
    ("spelling", "milliseconds"),
    [
        pytest.param("2026-11-21T10:00:00.123Z", 1_795_255_200_123, id="milliseconds"),
        pytest.param("0001-01-01T00:00:00+23:59", -62_135_683_140_000, id="before the first year"),
        pytest.param("9999-12-31T23:59:59-23:59", 253_402_387_139_000, id="after the last year"),
    ],
)
def test_times_at_the_ends(spelling: str, milliseconds: int) -> None:
    """A time keeps its milliseconds, and one that no calendar of Python holds in UTC is a number all the same."""
    spelt = encode_json(LEAST | {"window_start": spelling}, ROUTE)
    assert spelt == encode_json(LEAST | {"window_start": milliseconds}, ROUTE)


RATIO = made_up_schema({"name": "ratio", "type": "double"})
HEAD = b'{"report_id": "%s", "window_start": 0, "window_end": 1, "ratio": ' % ID.encode()


@pytest.mark.parametrize(
    ("ratio", "reason"),
    [
        pytest.param(b"0.5", None, id="a number with a point"),
        pytest.param(b"1", None, id="a whole number"),
        pytest.param(b"1e400", Reason.NOT_FINITE, id="over the largest double"),
        pytest.param(b"1" + b"0" * 400, Reason.NOT_FINITE, id="a whole number over the largest double"),
        pytest.param(b"true", Reason.WRONG_TYPE, id="a flag"),
        pytest.param(b'"0.5"', Reason.WRONG_TYPE, id="a string"),
    ],
)
def test_doubles(ratio: bytes, reason: Reason | None) -> None:
    """A double is any JSON number that it can hold."""
    [value] = split_json(HEAD + ratio + b"}")
    if reason is None:
        encode_json(value, RATIO)
    else:
        with pytest.raises(Rejected) as refusal:
            encode_json(value, RATIO)
        assert (refusal.value.reason, refusal.value.path) == (reason, "ratio")


def test_unknown_keys_are_counted_and_forgotten() -> None:
    """Keys that the schema does not have, inside rows too, are counted and leave nothing in the message."""
    value = LEAST | {"nickname": "planted", "rows": [LEAST_ROW | {"owner": {"name": "planted"}, "Tasks": 5}]}
    message = encode_json(value, ROUTE)
    assert message.unknown == 3
    assert message.content == encode_json(LEAST | {"rows": [LEAST_ROW]}, ROUTE).content


def test_a_body_is_one_report_or_an_array() -> None:
    """An object is one report, an array as many as it holds, up to the bound of a batch."""
    assert split_json(b'{"a": 1}') == [{"a": 1}]
    assert split_json(b'[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]
    assert split_json(b"[]") == []
    assert len(split_json(json.dumps([{}] * MAX_REPORTS).encode())) == MAX_REPORTS
    with pytest.raises(Rejected) as refusal:
        split_json(json.dumps([{}] * (MAX_REPORTS + 1)).encode())
    assert refusal.value.reason is Reason.TOO_MANY_REPORTS
