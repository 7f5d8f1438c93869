"""Every way in which `strip` refuses a message, and what it counts; the rest is in `tests/contract/test_strip.py`."""

import struct
from typing import Any

import pytest

from ingest.decode import decode
from ingest.problems import Reason, Rejected
from ingest.report import Remark, StrippedReport
from ingest.strip import strip
from schemas.plan import UNKNOWN_FIELD, Action, Plan
from tests.any_encoding import varint
from tests.made_up import PREAMBLE_BYTES, made_up_plan
from tests.reference_strip import decode_output

FIELDS: list[dict[str, Any]] = [
    {"name": "flag", "type": "boolean"},
    {"name": "number", "type": "int"},
    {"name": "big", "type": "long"},
    {"name": "ratio", "type": "double"},
    {"name": "name", "type": ["null", "string"], "default": None},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a", "b", "c"]}},
    {"name": "mark", "type": {"type": "fixed", "name": "Mark", "size": 4}},
    {"name": "labels", "type": {"type": "map", "values": "string"}},
    {"name": "counts", "type": {"type": "array", "items": "long"}},
    {"name": "flags", "type": {"type": "array", "items": "boolean"}},
    {
        "name": "rows",
        "type": {
            "type": "array",
            "items": {
                "type": "record",
                "name": "Row",
                "fields": [
                    {"name": "kind", "type": "Kind"},
                    {"name": "seen", "type": "boolean"},
                    {"name": "tasks", "type": "int"},
                    {"name": "more", "type": "long"},
                    {"name": "note", "type": ["null", "string"], "default": None},
                ],
            },
        },
    },
]

VALID: dict[str, bytes] = {
    "flag": b"\1",
    "number": b"\2",
    "big": b"\2",
    "ratio": struct.pack("<d", 0.5),
    "name": b"\2\2x",
    "kind": b"\2",
    "mark": b"mark",
    "labels": b"\2\2k\2v\0",
    "counts": b"\4\2\4\0",
    "flags": b"\4\0\1\0",
    "rows": b"\2" + b"\2\1\2\2\0" + b"\0",
}
"""The bytes of each field of a valid message."""

NAMES_OF_FIELDS = list(VALID)
KEPT = [name for name in NAMES_OF_FIELDS if name not in ("name", "labels", "rows")]

KEEPS = made_up_plan(
    FIELDS,
    [
        {"fields": KEPT, "action": "keep"},
        {"fields": ["name", "rows.note"], "action": "pseudonymise"},
        {"fields": ["rows.kind", "rows.seen", "rows.tasks", "rows.more"], "action": "keep"},
    ],
)
DROPS = made_up_plan(FIELDS, [{"fields": ["labels"], "action": "drop"}])
CHANGES = made_up_plan(
    FIELDS,
    [
        {"fields": ["number", "rows.tasks"], "action": "coarsen", "by": "bucket", "bounds": [0, 10]},
        {"fields": ["big"], "action": "coarsen", "by": "ceil_hour"},
        {"fields": ["rows.more"], "action": "coarsen", "by": "floor_hour"},
        {"fields": ["name"], "action": "coarsen", "by": "allowed", "allowed": ["x"]},
    ],
)
PLANS = {"kept": KEEPS, "dropped": DROPS, "coarsened": CHANGES}


def message(plan: Plan, **fields: bytes) -> bytes:
    """The valid message with the bytes of some fields replaced."""
    return plan.schema.message_prefix + PREAMBLE_BYTES + b"".join((VALID | fields).values())


def take(plan: Plan, content: bytes) -> StrippedReport:
    """The stripped report of a message; raises `Rejected`."""
    report = decode(content, {plan.schema.fingerprint: plan.schema})
    return strip(report, plan, names={}, key=lambda: bytes(32), now=0)


def row(**fields: bytes) -> bytes:
    """The rows of one row, the bytes of some of its fields replaced."""
    valid = {"kind": b"\2", "seen": b"\1", "tasks": b"\2", "more": b"\2", "note": b"\0"}
    return b"\2" + b"".join((valid | fields).values()) + b"\0"


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_valid_message_is_taken(plan: Plan) -> None:
    """The message that the rows of the table change is taken as it is."""
    stripped = take(plan, message(plan))
    assert stripped.report_id == bytes(16)
    assert decode_output(plan, stripped.body)["policy_version"] == 3


REFUSED = [
    pytest.param("flag", b"\2", Reason.BAD_BOOLEAN, "flag", id="a boolean of 2"),
    pytest.param("flags", b"\2\2\0", Reason.BAD_BOOLEAN, "flags", id="a boolean of 2 in an array"),
    pytest.param("number", varint(2**31), Reason.INT_OUT_OF_RANGE, "number", id="an int over 32 bits"),
    pytest.param("number", varint(-(2**31) - 1), Reason.INT_OUT_OF_RANGE, "number", id="an int below 32 bits"),
    pytest.param("big", b"\xff" * 9 + b"\x02", Reason.BAD_VARINT, "big", id="a long over 64 bits"),
    pytest.param("big", b"\x80" * 10 + b"\x00", Reason.BAD_VARINT, "big", id="a varint of 11 bytes"),
    pytest.param("number", b"\xff" * 11, Reason.BAD_VARINT, "number", id="a varint that does not end"),
    pytest.param("ratio", struct.pack("<d", float("nan")), Reason.NOT_FINITE, "ratio", id="not a number"),
    pytest.param("ratio", struct.pack("<d", float("-inf")), Reason.NOT_FINITE, "ratio", id="minus infinity"),
    pytest.param("name", b"\4", Reason.BAD_UNION_INDEX, "name", id="a third branch of a union"),
    pytest.param("name", b"\1", Reason.BAD_UNION_INDEX, "name", id="branch -1, which fastavro takes for the last"),
    pytest.param("name", b"\2\1", Reason.BAD_LENGTH, "name", id="a string of length -1"),
    pytest.param("name", b"\2\2\xff", Reason.BAD_UTF8, "name", id="a byte that UTF-8 does not know"),
    pytest.param("name", b"\2\6\xed\xa0\x80", Reason.BAD_UTF8, "name", id="a surrogate in UTF-8"),
    pytest.param("name", b"\2\4\xc0\x80", Reason.BAD_UTF8, "name", id="an overlong form in UTF-8"),
    pytest.param("kind", b"\6", Reason.BAD_ENUM_INDEX, "kind", id="an enum index after the last symbol"),
    pytest.param("kind", b"\1", Reason.BAD_ENUM_INDEX, "kind", id="enum index -1, which fastavro takes for the last"),
    pytest.param("kind", varint(2**40), Reason.BAD_ENUM_INDEX, "kind", id="an enum index of 41 bits"),
    pytest.param("labels", b"\4\2k\0\2k\0\0", Reason.DUPLICATE_KEY, "labels", id="a map key twice"),
    pytest.param("labels", b"\2\2k\0\2\2k\0\0", Reason.DUPLICATE_KEY, "labels", id="a map key in two blocks"),
    pytest.param("labels", b"\2\2\xff\0\0", Reason.BAD_UTF8, "labels", id="a map key that is no UTF-8"),
    pytest.param("labels", b"\2\1", Reason.BAD_LENGTH, "labels", id="a map key of length -1"),
    pytest.param("counts", varint(20_000_000), Reason.TRUNCATED, "counts", id="more items than bytes are left"),
    pytest.param("counts", varint(-(2**63)) + b"\0", Reason.TRUNCATED, "counts", id="a block count of -2^63"),
    pytest.param("counts", b"\1\1\2\0", Reason.BAD_BLOCK, "counts", id="a block size of -1"),
    pytest.param("counts", b"\1\4\2\2\0", Reason.BAD_BLOCK, "counts", id="a block size beyond its items"),
    pytest.param("counts", b"\3\2\2\2\0", Reason.BAD_BLOCK, "counts", id="a block size short of its items"),
    pytest.param("counts", b"\1" + varint(2**40), Reason.TRUNCATED, "counts", id="a block size beyond the message"),
    pytest.param("counts", b"\2" + b"\xff" * 9 + b"\2\0", Reason.BAD_VARINT, "counts", id="an item over 64 bits"),
    pytest.param("rows", b"\1\2" + row()[1:], Reason.BAD_BLOCK, "rows", id="a block of rows with a false size"),
    pytest.param("rows", row(kind=b"\6"), Reason.BAD_ENUM_INDEX, "rows.kind", id="an enum index in a row"),
    pytest.param("rows", row(seen=b"\3"), Reason.BAD_BOOLEAN, "rows.seen", id="a boolean in a row"),
    pytest.param("rows", row(tasks=varint(2**31)), Reason.INT_OUT_OF_RANGE, "rows.tasks", id="an int in a row"),
    pytest.param("rows", row(more=b"\xff" * 10), Reason.BAD_VARINT, "rows.more", id="a varint in a row"),
    pytest.param("rows", row(note=b"\3"), Reason.BAD_UNION_INDEX, "rows.note", id="a branch in a row"),
    pytest.param("rows", row(note=b"\2\2\xff"), Reason.BAD_UTF8, "rows.note", id="a string in a row"),
]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize(("field", "content", "reason", "path"), REFUSED)
def test_refuses(plan: Plan, field: str, content: bytes, reason: Reason, path: str) -> None:
    """What the specification or the schema forbids is refused at its path, in what is dropped as in what is kept."""
    with pytest.raises(Rejected) as refusal:
        take(plan, message(plan, **{field: content}))
    assert (refusal.value.reason, refusal.value.path) == (reason, path)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_refuses_trailing_bytes(plan: Plan) -> None:
    """One byte after the last field is one too many."""
    with pytest.raises(Rejected) as refusal:
        take(plan, message(plan) + b"\0")
    assert refusal.value.reason is Reason.TRAILING_BYTES


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("field", NAMES_OF_FIELDS)
def test_names_the_field_that_is_cut_short(plan: Plan, field: str) -> None:
    """Where a message ends too early, the refusal names the field whose first byte is missing."""
    before = NAMES_OF_FIELDS[: NAMES_OF_FIELDS.index(field)]
    cut = plan.schema.message_prefix + PREAMBLE_BYTES + b"".join(VALID[name] for name in before)
    with pytest.raises(Rejected) as refusal:
        take(plan, cut)
    assert (refusal.value.reason, refusal.value.path) == (Reason.TRUNCATED, field)


@pytest.mark.parametrize("inner", ["kind", "seen", "tasks", "more", "note"])
def test_names_the_field_of_a_row_that_is_cut_short(inner: str) -> None:
    """Within a row, too, and within a run, the refusal names the field that is missing."""
    names = ["kind", "seen", "tasks", "more", "note"]
    cut = message(KEEPS, rows=b"\2" + b"\2\1\2\2\0"[: names.index(inner)])
    with pytest.raises(Rejected) as refusal:
        take(KEEPS, cut)
    # A block of one item in which no byte is left is refused before its item is looked at.
    expected = "rows" if inner == "kind" else f"rows.{inner}"
    assert (refusal.value.reason, refusal.value.path) == (Reason.TRUNCATED, expected)


ALIKE = [
    pytest.param({"number": varint(1, length=10)}, id="an int of ten bytes"),
    pytest.param({"kind": varint(1, length=3)}, id="an enum index of three bytes"),
    pytest.param({"name": varint(1, length=2) + varint(1, length=2) + b"x"}, id="a branch and a length of two bytes"),
    pytest.param({"counts": b"\2\2\2\4\0"}, id="a block for each item"),
    pytest.param({"counts": b"\3\4\2\4\0"}, id="a block that tells its size"),
    pytest.param({"counts": b"\4" + varint(1, length=2) + b"\4\0"}, id="an item of two bytes"),
    pytest.param({"counts": varint(2, length=2) + b"\2\4\0"}, id="a count of two bytes"),
    pytest.param({"counts": b"\4\2\4" + varint(0, length=2)}, id="an end of two bytes"),
    pytest.param({"flags": b"\1\2\0\2\1\0"}, id="booleans in a sized block and another"),
    pytest.param({"labels": b"\1\x08\2k\2v\0"}, id="a map in a sized block"),
    pytest.param({"rows": b"\1\x0a" + b"\2\1\2\2\0" + b"\0"}, id="a row in a sized block"),
    pytest.param({"rows": row(tasks=varint(1, length=4), more=varint(1, length=9))}, id="long forms in a run"),
]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("fields", ALIKE)
def test_every_form_of_a_value_strips_alike(plan: Plan, fields: dict[str, bytes]) -> None:
    """Any form that the specification allows gives the output of the canonical one."""
    assert take(plan, message(plan, **fields)) == take(plan, message(plan))


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
@pytest.mark.parametrize("item", [1, 64], ids=["one-byte items", "longer items"])
def test_arrays_of_any_length_on_both_paths(count: int, item: int) -> None:
    """An array is kept as it is whether its items take the short way or the long one, at every size of its count."""
    counts = (varint(count) + varint(item) * count if count else b"") + b"\0"
    body = take(KEEPS, message(KEEPS, counts=counts)).body
    assert decode_output(KEEPS, body)["counts"] == [item] * count
    assert counts in body


@pytest.mark.parametrize(
    ("field", "absent"),
    [
        pytest.param("name", b"\0", id="null"),
        pytest.param("name", varint(0, length=3), id="null in a long form"),
        pytest.param("labels", b"\0", id="an empty map"),
        pytest.param("labels", varint(0, length=2), id="an empty map in a long form"),
        pytest.param("counts", b"\0", id="an empty array"),
        pytest.param("rows", b"\0", id="no rows"),
    ],
)
def test_absence_leaves_no_remark(field: str, absent: bytes) -> None:
    """Null and an empty array or map are nothing that could be taken off."""
    stripped = take(DROPS, message(DROPS, **{field: absent}))
    ids = [planned.id for path, planned in DROPS.schema.fields.items() if f"{path}.".startswith(f"{field}.")]
    assert [remark for remark in stripped.remarks if remark.field in ids] == []


def test_counts_values_and_names_of_their_own() -> None:
    """A row field is counted once a row, a map once, and its keys as unknown names beside those of the caller."""
    two_rows = b"\4" + b"\2\1\2\2\2\2x" + b"\2\1\2\2\0" + b"\0"
    content = message(DROPS, rows=two_rows, labels=b"\4\2a\0\2b\0\0")
    report = decode(content, {DROPS.schema.fingerprint: DROPS.schema})
    stripped = strip(report, DROPS, names={}, key=lambda: bytes(32), now=0, unknown=5)
    remarks = {remark.field: remark for remark in stripped.remarks}
    fields = DROPS.schema.fields
    assert remarks[UNKNOWN_FIELD] == Remark(UNKNOWN_FIELD, Action.DROP, 7)
    assert remarks[fields["labels"].id].values == 1
    assert remarks[fields["rows.tasks"].id].values == 2
    assert remarks[fields["rows.note"].id].values == 1
    assert list(stripped.remarks) == sorted(stripped.remarks, key=lambda remark: remark.field)


def test_the_key_is_asked_for_only_if_a_value_needs_it() -> None:
    """A report without a value to pseudonymise does not need its key; one with such a value fails as the key does."""

    def missing() -> bytes:
        raise Rejected(Reason.KEY_MISSING)

    without = decode(message(KEEPS, name=b"\0"), {KEEPS.schema.fingerprint: KEEPS.schema})
    strip(without, KEEPS, names={}, key=missing, now=0)
    with_name = decode(message(KEEPS), {KEEPS.schema.fingerprint: KEEPS.schema})
    with pytest.raises(Rejected) as refusal:
        strip(with_name, KEEPS, names={}, key=missing, now=0)
    assert refusal.value.reason is Reason.KEY_MISSING


@pytest.mark.parametrize(
    ("field", "content"),
    [
        pytest.param("big", varint(2**63 - 1), id="the last hour has no end in 64 bits"),
        pytest.param("rows", row(more=varint(-(2**63))), id="the first hour has no beginning in 64 bits"),
    ],
)
def test_a_time_at_the_end_of_64_bits_is_refused(field: str, content: bytes) -> None:
    """A time that cannot be coarsened within its type is refused rather than written as another."""
    with pytest.raises(Rejected) as refusal:
        take(CHANGES, message(CHANGES, **{field: content}))
    assert refusal.value.reason is Reason.INT_OUT_OF_RANGE


ONE_DAY = 86_400_000
REFUSES = made_up_plan(
    FIELDS,
    [{"fields": ["number"], "action": "keep"}],
    refuse_if_present=[
        {"field": name, "since": "1970-01-02", "why": "A test."} for name in ("name", "labels", "rows", "rows.note")
    ],
)


@pytest.mark.parametrize(
    ("path", "field", "absent", "there"),
    [
        pytest.param("name", "name", b"\0", b"\2\0", id="an empty string is there"),
        pytest.param("labels", "labels", b"\0", b"\2\0\0\0", id="a map with an entry is there"),
        pytest.param("rows", "rows", b"\0", row(), id="an array with an item is there"),
    ],
)
def test_refuses_a_present_field_from_its_day_on(path: str, field: str, absent: bytes, there: bytes) -> None:
    """A refused field is stripped until its day begins (UTC), and refuses its report from then on."""
    nothing = {"name": b"\0", "labels": b"\0", "rows": b"\0"}
    schemas = {REFUSES.schema.fingerprint: REFUSES.schema}
    without = decode(message(REFUSES, **nothing | {field: absent}), schemas)
    strip(without, REFUSES, names={}, key=lambda: bytes(32), now=ONE_DAY)
    having = decode(message(REFUSES, **nothing | {field: there}), schemas)
    strip(having, REFUSES, names={}, key=lambda: bytes(32), now=ONE_DAY - 1)
    with pytest.raises(Rejected) as refusal:
        strip(having, REFUSES, names={}, key=lambda: bytes(32), now=ONE_DAY)
    assert (refusal.value.reason, refusal.value.path) == (Reason.FIELD_REFUSED, path)


def test_refuses_a_field_inside_rows() -> None:
    """A refused field of a row refuses the report at the row's path."""
    plan = made_up_plan(FIELDS, [], refuse_if_present=[{"field": "rows.note", "since": "1970-01-01", "why": "A test."}])
    take(plan, message(plan))
    with pytest.raises(Rejected) as refusal:
        take(plan, message(plan, rows=row(note=b"\2\0")))
    assert (refusal.value.reason, refusal.value.path) == (Reason.FIELD_REFUSED, "rows.note")
