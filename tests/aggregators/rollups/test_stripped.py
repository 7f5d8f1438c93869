"""Every way in which an entry cannot be read, and that nothing else can happen to one."""

import dataclasses
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.rollups.stripped import LATEST, OutcomesRecord, StrippedRecord, StrippedRecords, Unreadable, WhyParked
from ingest.records import CONTROL_TOPIC, SCHEMAS_TOPIC, schema_entry
from ingest.report import Entry
from ingest.schema_topic import schemas_of
from ingest.telemetry.account import OutcomeCount
from schemas.framing import CONFLUENT_MARKER, SINGLE_OBJECT_BYTES, SINGLE_OBJECT_MARKER, id_reference, split
from tests.rollups_input import (
    CATALOGUE,
    HOUR,
    NOW,
    entry_of,
    one_batch,
    outcomes_of,
    row_of,
    seeded_report,
    stripped_records,
)

RECORDS = stripped_records()
ROUTE = seeded_report("route_window", Random(1), tier="managed")
HEALTH = seeded_report("health_window", Random(1), tier="managed")
OUTCOMES = outcomes_of("a gate", 3, OutcomeCount("managed", "accepted", 2))


def changed(entry: Entry, **changes: object) -> Entry:
    """The entry with other parts."""
    return dataclasses.replace(entry, **changes)  # type: ignore[arg-type]  # each test names parts with their types


def with_value(change: Callable[[bytes], bytes], entry: Entry = ROUTE) -> Entry:
    """The entry with another value."""
    return changed(entry, value=change(entry.value))


def stretched(value: bytes) -> bytes:
    """The value with a window that starts in the year 2500."""
    start = _varint(HOUR)
    assert value.count(start) == 1
    return value.replace(start, _varint(LATEST * 4))


def _varint(number: int) -> bytes:
    out, rest = bytearray(), number << 1
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


UNREADABLE = [
    pytest.param(changed(ROUTE, topic="orders"), WhyParked.FOREIGN_TOPIC, id="another application's topic"),
    pytest.param(changed(ROUTE, topic="tidegate.managed.route_window"), WhyParked.FOREIGN_TOPIC, id="no version"),
    pytest.param(changed(ROUTE, topic="tidegate.managed.route_window.v01"), WhyParked.FOREIGN_TOPIC, id="v01"),
    pytest.param(with_value(lambda _: b""), WhyParked.NOT_FRAMED, id="empty"),
    pytest.param(with_value(lambda value: value[:9]), WhyParked.NOT_FRAMED, id="cut in its fingerprint"),
    pytest.param(with_value(lambda value: b"\1" + value), WhyParked.NOT_FRAMED, id="neither framing"),
    pytest.param(with_value(lambda value: b"\0" + value[:3]), WhyParked.NOT_FRAMED, id="cut in its id"),
    pytest.param(with_value(lambda value: b"\0" + value), WhyParked.UNKNOWN_SCHEMA, id="an id that nobody gave"),
    pytest.param(
        with_value(lambda value: SINGLE_OBJECT_MARKER + b"12345678" + value[10:]),
        WhyParked.UNKNOWN_SCHEMA,
        id="a schema that nobody published",
    ),
    pytest.param(with_value(lambda _: HEALTH.value), WhyParked.WRONG_TOPIC, id="another report"),
    pytest.param(changed(ROUTE, topic="tidegate.managed.route_window.v2"), WhyParked.WRONG_TOPIC, id="another version"),
    pytest.param(changed(OUTCOMES, topic=ROUTE.topic), WhyParked.WRONG_TOPIC, id="outcomes among reports"),
    pytest.param(changed(ROUTE, topic=CONTROL_TOPIC), WhyParked.WRONG_TOPIC, id="a report among outcomes"),
    pytest.param(with_value(lambda value: value[:-1]), WhyParked.UNDECODABLE, id="cut at its end"),
    pytest.param(with_value(lambda value: value[:10]), WhyParked.UNDECODABLE, id="no body"),
    pytest.param(with_value(lambda value: value[:-1], OUTCOMES), WhyParked.UNDECODABLE, id="outcomes cut at their end"),
    pytest.param(with_value(lambda value: value + b"\0"), WhyParked.TRAILING_BYTES, id="one byte more"),
    pytest.param(changed(ROUTE, key=bytes(16)), WhyParked.KEY_DIFFERS, id="the key of another report"),
    pytest.param(changed(OUTCOMES, key=b"another"), WhyParked.KEY_DIFFERS, id="the key of another gate"),
    pytest.param(changed(ROUTE, timestamp=-1), WhyParked.BAD_TIME, id="appended before 1970"),
    pytest.param(changed(ROUTE, timestamp=1 << 62), WhyParked.BAD_TIME, id="appended beyond any calendar"),
    pytest.param(changed(OUTCOMES, timestamp=LATEST), WhyParked.BAD_TIME, id="outcomes appended too late"),
    pytest.param(with_value(stretched, entry_of("route_window", {})), WhyParked.BAD_TIME, id="a window in 2500"),
]


@pytest.mark.parametrize(("entry", "reason"), UNREADABLE)
def test_what_cannot_be_read_has_a_reason(entry: Entry, reason: WhyParked) -> None:
    """An entry that cannot be read is told by one reason of the list, and by nothing that is in it."""
    with pytest.raises(Unreadable) as caught:
        RECORDS.read(entry)
    assert caught.value.reason is reason
    assert str(caught.value) == reason.value
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_every_reason_has_its_example() -> None:
    """The table of this file has an example of every reason."""
    assert {example.values[1] for example in UNREADABLE} == set(WhyParked)


@settings(max_examples=300, deadline=None)
@given(
    entry=st.sampled_from([ROUTE, HEALTH, OUTCOMES]),
    at=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
    cut=st.integers(0, 3),
)
def test_damage_is_told_or_leaves_a_record(entry: Entry, at: float, byte: int, cut: int) -> None:
    """Whatever bytes are changed or lost, an entry is read or refused with a reason, and nothing else is raised."""
    place = int(at * len(entry.value))
    value = entry.value[:place] + bytes([byte]) + entry.value[place + cut :]
    try:
        record = RECORDS.read(changed(entry, value=value))
    except Unreadable:
        return
    assert isinstance(record, StrippedRecord | OutcomesRecord)


def test_a_record_says_what_the_report_said() -> None:
    """Tier and version come from the topic, times are whole hours, remarks have paths, and altered rows are flagged."""
    values = {
        "window_start": HOUR + 300_000,
        "hostname": "a-host-name",
        "rows": [row_of("route_window", "rows", model="alice-tuned")],
    }
    entry = entry_of("route_window", values, now=NOW + 7)
    record = RECORDS.read(entry)
    assert isinstance(record, StrippedRecord)
    assert (record.topic.tier, record.topic.report, record.topic.version) == ("managed", "route_window", 1)
    assert (record.received, record.hour, record.report_id) == (NOW, HOUR, entry.key)
    assert {(remark["field"], remark["action"]) for remark in record.values["remarks"]} == {
        ("rows.model", "coarsen"),
        ("hostname", "drop"),
    }
    assert record.values["rows_altered"] is True
    assert record.values["violations_altered"] is False


def test_schemas_are_asked_for_once() -> None:
    """What a batch needs and nobody taught is named; once it was taught, nothing is unknown and everything is read."""
    records = StrippedRecords()
    batch = one_batch([ROUTE, HEALTH, OUTCOMES, schema_entry(b"12345678", {}, now=NOW)])
    named = {entry.value[2:10] for entry in (ROUTE, HEALTH)}
    assert records.unknown(batch) == named
    records.learn(schemas_of(CATALOGUE))
    assert records.unknown(batch) == frozenset()
    for entry in (ROUTE, HEALTH, OUTCOMES):
        records.read(entry)


def test_both_framings_are_read_side_by_side() -> None:
    """An entry is read alike by its schema's fingerprint and by an id of the log, and an id has to be learnt."""
    ids = {id_reference(7): ROUTE, id_reference(2**31 - 1): OUTCOMES}
    framed = [
        with_value(lambda value, key=key: CONFLUENT_MARKER + key + value[SINGLE_OBJECT_BYTES:], entry)  # type: ignore[misc]
        for key, entry in ids.items()
    ]
    records = StrippedRecords()
    records.learn(schemas_of(CATALOGUE))
    assert records.unknown(one_batch(framed)) == ids.keys()
    for one in framed:
        with pytest.raises(Unreadable) as caught:
            records.read(one)
        assert caught.value.reason is WhyParked.UNKNOWN_SCHEMA
    schemas = schemas_of(CATALOGUE)
    records.learn({**schemas, **{key: schemas[split(entry.value)[0]] for key, entry in ids.items()}})
    assert records.unknown(one_batch(framed)) == frozenset()
    assert [records.read(one) for one in framed] == [records.read(one) for one in ids.values()]


def test_an_id_of_a_schema_that_is_not_taken_leads_nowhere() -> None:
    """An id whose schema would not be taken under its fingerprint is unknown as well, a report's schema included."""
    (broken, report) = ({"type": "record", "name": "X", "fields": 7}, CATALOGUE.schemas[0].document)
    records = StrippedRecords()
    records.learn({**schemas_of(CATALOGUE), id_reference(7): broken, id_reference(8): report})
    for key in (7, 8):
        value = CONFLUENT_MARKER + id_reference(key) + ROUTE.value[SINGLE_OBJECT_BYTES:]
        assert records.unknown(one_batch([changed(ROUTE, value=value)])) == {id_reference(key)}


def test_the_schema_of_a_record_needs_that_of_its_report() -> None:
    """A stripped record's schema alone does not do, since remarks name fields of the report's; both together do."""
    schemas = dict(schemas_of(CATALOGUE))
    alone = {ROUTE.value[2:10]: schemas[ROUTE.value[2:10]]}
    records = StrippedRecords()
    records.learn(alone)
    assert records.unknown(one_batch([ROUTE])) == alone.keys()
    records.learn(schemas)
    assert records.unknown(one_batch([ROUTE])) == frozenset()


def test_the_topic_of_schemas_is_no_topic_of_reports() -> None:
    """The name of the topic of schemas cannot be taken for a tier's."""
    with pytest.raises(Unreadable):
        RECORDS.read(changed(ROUTE, topic=SCHEMAS_TOPIC))
