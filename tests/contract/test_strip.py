"""What `ingest.strip.Strip` promises, held over every implementation, every report schema and every tier.

Another engine joins by one line in `IMPLEMENTATIONS`. The oracle is `tests/reference_strip.py`, which says the same
with fastavro and plain dicts; whatever an implementation takes, fastavro must have read alike. Failures are told by
path and by yes or no, never by value.
"""

import json
from copy import deepcopy
from io import BytesIO
from random import Random
from typing import Any

import avro.io
import avro.schema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import decode
from ingest.problems import Reason, Rejected
from ingest.report import StrippedReport
from ingest.strip import Strip, strip
from load.reports import make_report
from schemas.avro_types import Array, AvroType, Enumeration, Field, Map, Primitive, Record
from schemas.catalogue import load_catalogue
from schemas.framing import SINGLE_OBJECT_BYTES
from schemas.plan import Action, Plan, PlannedField
from tests.reference_strip import Refused, Stripped, decode_output, plain, reference_strip
from tests.strategies import MANIFEST, NOW, any_encoding, encode, reports

IMPLEMENTATIONS: dict[str, Strip] = {"walk": strip}

CATALOGUE = load_catalogue()
REPORTS = sorted(CATALOGUE.latest)
PLANS: dict[str, list[Plan]] = {
    report: [plan for plan in CATALOGUE.plans.values() if plan.schema.name == report] for report in REPORTS
}
KEY = bytes(range(32))

BEFORE, AFTER = 1_767_225_600_000, 1_830_297_600_000
"""1 January 2026 and 2028: before and after every day from which a shipped policy refuses a field."""

over_implementations = pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
over_reports = pytest.mark.parametrize("report", REPORTS)


def take(implementation: Strip, message: bytes, plan: Plan, *, now: int = BEFORE, unknown: int = 0) -> StrippedReport:
    """The stripped report of a message; raises `Rejected`."""
    report = decode(message, {plan.schema.fingerprint: plan.schema})
    return implementation(report, plan, names=MANIFEST, key=lambda: KEY, now=now, unknown=unknown)


def plan_and_report(report: str) -> st.SearchStrategy[tuple[Plan, dict[str, Any]]]:
    """A tier's plan for the report, and a report."""
    return st.tuples(st.sampled_from(PLANS[report]), reports(CATALOGUE.latest[report]))


def remarks_of(stripped: StrippedReport) -> dict[tuple[int, str], int]:
    """The remarks as the reference gives them."""
    return {(remark.field, remark.action.value): remark.values for remark in stripped.remarks}


@over_implementations
@over_reports
@settings(max_examples=40)
@given(st.data())
def test_strips_as_the_reference_does(implementation: Strip, report: str, data: st.DataObject) -> None:
    """Body and remarks are byte for byte those of the reference, and so is the path of a refused field."""
    plan, values = data.draw(plan_and_report(report))
    now, unknown = data.draw(st.sampled_from([BEFORE, BEFORE, NOW, AFTER])), data.draw(st.integers(0, 2))
    message = encode(plan.schema, values)
    expected = reference_strip(message, plan, names=MANIFEST, key=KEY, now=now, unknown=unknown)
    if isinstance(expected, Refused):
        with pytest.raises(Rejected) as refusal:
            take(implementation, message, plan, now=now, unknown=unknown)
        assert (refusal.value.reason, refusal.value.path) == (Reason.FIELD_REFUSED, expected.path)
        return
    stripped = take(implementation, message, plan, now=now, unknown=unknown)
    assert (stripped.body == expected.body, remarks_of(stripped)) == (True, expected.remarks)
    assert stripped.report_id == values["report_id"]
    assert decode_output(plan, stripped.body) == expected.record, "the output schema reads the output otherwise"


@over_implementations
@over_reports
@settings(max_examples=40)
@given(st.data())
def test_any_legal_encoding_strips_alike(implementation: Strip, report: str, data: st.DataObject) -> None:
    """Split and sized blocks and long varints change nothing: the output is that of the canonical encoding."""
    plan, values = data.draw(plan_and_report(report))
    blocked = any_encoding(plan.schema, values, data.draw(st.integers(0, 2**32)))
    expected = take(implementation, encode(plan.schema, values), plan)
    again = take(implementation, blocked, plan)
    assert again.body == expected.body
    assert again.remarks == expected.remarks


@over_implementations
@over_reports
@settings(max_examples=8)
@given(st.data())
def test_stripping_twice_gives_the_same_bytes(implementation: Strip, report: str, data: st.DataObject) -> None:
    """The same report under the same plan is the same record, whatever was stripped in between."""
    plan, values = data.draw(plan_and_report(report))
    _, other = data.draw(plan_and_report(report))
    first = take(implementation, encode(plan.schema, values), plan)
    take(implementation, encode(plan.schema, other), plan)
    assert take(implementation, encode(plan.schema, values), plan).body == first.body


@over_implementations
@over_reports
@settings(max_examples=20)
@given(st.data())
def test_what_was_kept_is_kept_again(implementation: Strip, report: str, data: st.DataObject) -> None:
    """A report made of the kept values alone keeps them all and leaves no remark of a coarsening."""
    # Pseudonyms are left out: the name of a name is another name, because whose it was is not known any more.
    plan, values = data.draw(plan_and_report(report))
    first = decode_output(plan, take(implementation, encode(plan.schema, values), plan).body)
    without_pseudonyms(plan.fields, first)
    kept = put_back(plan.schema.root, first) | {name: values[name] for name in values if name.startswith("consent_")}
    stripped = take(implementation, encode(plan.schema, kept), plan)
    second = decode_output(plan, stripped.body)
    first.pop("remarks")
    second.pop("remarks")
    assert {name for name in first if first[name] != second[name]} == set()
    assert {remark.field for remark in stripped.remarks if remark.action is not Action.DROP} == set()


def without_pseudonyms(fields: tuple[PlannedField, ...], record: dict[str, Any]) -> None:
    """Take the pseudonyms off a stripped record."""
    for planned in fields:
        if planned.children is None and planned.action is Action.PSEUDONYMISE:
            record[planned.field.name] = None
        elif planned.children is not None and planned.survives:
            held = record[planned.field.name]
            for inner in held if isinstance(held, list) else [held] if held else []:
                without_pseudonyms(planned.children, inner)


def put_back(record: Record, kept: dict[str, Any]) -> dict[str, Any]:
    """A report with the kept values in their places, and as little as its schema allows in all others."""
    return {field.name: _put_back(field, kept.get(field.name)) for field in record.fields}


def _put_back(field: Field, value: Any) -> Any:
    if value is None:
        return None if field.nullable else least(field.type)
    if field.record is not None:
        inner = field.record
        return [put_back(inner, item) for item in value] if isinstance(value, list) else put_back(inner, value)
    return value


def least(node: AvroType) -> Any:
    """The smallest value of a type."""
    match node:
        case Primitive("string"):
            return ""
        case Enumeration(_, symbols):
            return symbols[0]
        case Array():
            return []
        case Map():
            return {}
        case Record():
            return put_back(node, {})
    return 0


@over_implementations
@pytest.mark.parametrize("plan", CATALOGUE.plans.values(), ids=lambda plan: plan.topic)
def test_no_planted_string_survives(implementation: Strip, plan: Plan) -> None:
    """A string of its own in each place that holds one is nowhere in the output, decoded or raw; a known name is."""
    report = make_report(plan.schema, Random(5), now=NOW)
    planted: list[str] = []
    report = plant(plan.schema.root, report, planted) | {"region": "eu-west"}
    report |= {name: True for name in report if name.startswith("consent_")}
    body = take(implementation, encode(plan.schema, report), plan).body
    shown = json.dumps(decode_output(plan, body), default=bytes.hex)
    assert len(planted) > 10
    assert [path for path in planted if path in shown or path.encode() in body] == []
    assert "eu-west" in shown, "the search finds nothing that is there"
    assert b"eu-west" in body, "the search finds nothing that is there"


def plant(record: Record, values: dict[str, Any], planted: list[str]) -> dict[str, Any]:
    """`values` with a string of its own in every place that takes one; each begins with the path of its place."""
    return {field.name: _plant(field, values[field.name], planted) for field in record.fields}


def _plant(field: Field, value: Any, planted: list[str]) -> Any:
    mark = f"{field.path}-planted-{len(planted)}"
    if field.type == Primitive("string"):
        planted.append(mark)
        return mark
    if isinstance(field.type, Map):
        planted += [f"{mark}-key", f"{mark}-value"]
        return {f"{mark}-key": f"{mark}-value"}
    if field.record is not None and value:
        if isinstance(value, list):
            return [plant(field.record, item, planted) for item in value]
        return plant(field.record, value, planted)
    return value


@over_implementations
@pytest.mark.parametrize("plan", CATALOGUE.plans.values(), ids=lambda plan: plan.topic)
@pytest.mark.parametrize("encoding", ["canonical", "blocked"])
def test_cut_short_at_every_byte(implementation: Strip, plan: Plan, encoding: str) -> None:
    """A message that ends too early, wherever, is refused as such, and before its fingerprint ends at the latest so."""
    report = make_report(plan.schema, Random(6), now=NOW) | {"user_email": None}
    report["rows"] = report["rows"][:3] if "rows" in report else []
    message = encode(plan.schema, report) if encoding == "canonical" else any_encoding(plan.schema, report, 6)
    take(implementation, message, plan)
    reasons = {}
    for length in range(len(message)):
        with pytest.raises(Rejected) as refusal:
            take(implementation, message[:length], plan)
        reasons[length] = refusal.value.reason
    assert {length for length, reason in reasons.items() if reason is Reason.BAD_MARKER} == {0, 1}
    assert set(reasons.values()) == {Reason.BAD_MARKER, Reason.TRUNCATED}


Edit = tuple[str, int, bytes]


def edits() -> st.SearchStrategy[list[Edit]]:
    """Some places (in thousandths of the message) at which bytes are overwritten, inserted or deleted."""
    kind = st.sampled_from(["overwrite", "insert", "delete", "flip"])
    return st.lists(st.tuples(kind, st.integers(0, 999), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4)


def edited(message: bytes, changes: list[Edit]) -> bytes:
    """The message with the changes made after its fingerprint."""
    body = bytearray(message[SINGLE_OBJECT_BYTES:])
    for kind, thousandth, extra in changes:
        at = len(body) * thousandth // 1000
        match kind:
            case "overwrite":
                body[at : at + len(extra)] = extra
            case "insert":
                body[at:at] = extra
            case "delete":
                del body[at : at + len(extra)]
            case "flip" if at < len(body):
                body[at] ^= 1 << (extra[0] & 7)
    return message[:SINGLE_OBJECT_BYTES] + bytes(body)


def agree_or_refuse(implementation: Strip, message: bytes, plan: Plan) -> bool:
    """Whether the message is taken; what is taken must be what the reference makes of it."""
    try:
        stripped = take(implementation, message, plan)
    except Rejected as refusal:
        if refusal.path is not None and refusal.path not in plan.schema.fields:
            raise AssertionError("a refusal names a path that its schema does not have") from None
        return False
    expected = reference_strip(message, plan, names=MANIFEST, key=KEY, now=BEFORE)
    assert isinstance(expected, Stripped)
    assert (stripped.body == expected.body, remarks_of(stripped)) == (True, expected.remarks)
    return True


@over_implementations
@over_reports
@settings(max_examples=120)
@given(st.data())
def test_a_damaged_message_is_refused_or_means_the_same(
    implementation: Strip, report: str, data: st.DataObject
) -> None:
    """Whatever is changed in a message, only a refusal is raised, and what is still taken fastavro reads alike."""
    plan = data.draw(st.sampled_from(PLANS[report]))
    values = make_report(plan.schema, Random(data.draw(st.integers(0, 20))), now=NOW)
    message = any_encoding(plan.schema, values, 1) if data.draw(st.booleans()) else encode(plan.schema, values)
    agree_or_refuse(implementation, edited(message, data.draw(edits())), plan)


@over_implementations
@over_reports
@settings(max_examples=50)
@given(st.data())
def test_any_bytes_are_refused_or_mean_the_same(implementation: Strip, report: str, data: st.DataObject) -> None:
    """Bytes that nobody wrote as a report, behind a valid fingerprint, raise nothing but a refusal."""
    plan = data.draw(st.sampled_from(PLANS[report]))
    preamble = bytes(16) + b"\x02\x04\0\0\0\0" if data.draw(st.booleans()) else b""
    agree_or_refuse(implementation, plan.schema.message_prefix + preamble + data.draw(st.binary(max_size=300)), plan)


def test_damage_is_not_always_refused() -> None:
    """The damage done here leaves some messages legal, so that the comparison with the reference takes place."""
    plan = PLANS["route_window"][0]
    message = encode(plan.schema, make_report(plan.schema, Random(3), now=NOW))
    taken = [agree_or_refuse(strip, edited(message, [("flip", place, b"\1")]), plan) for place in range(0, 1000, 5)]
    assert 20 < sum(taken) < len(taken)


@over_implementations
@over_reports
@settings(max_examples=10)
@given(st.data())
def test_takes_what_the_apache_library_writes(implementation: Strip, report: str, data: st.DataObject) -> None:
    """A report written by the Avro project's own Python package strips to the same bytes as fastavro's."""
    plan, values = data.draw(plan_and_report(report))
    document = deepcopy(plain(plan.schema.document))
    out = BytesIO()
    writer = avro.io.DatumWriter(avro.schema.parse(json.dumps(document)))
    writer.write(values, avro.io.BinaryEncoder(out))
    theirs = take(implementation, plan.schema.message_prefix + out.getvalue(), plan)
    assert theirs.body == take(implementation, encode(plan.schema, values), plan).body
