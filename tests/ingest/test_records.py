"""What accompanies a stripped record into the log."""

import dataclasses
from random import Random

import pytest

from ingest.decode import decode
from ingest.records import CONTROL_TOPIC, outcomes_entry, record_time, to_entry
from ingest.report import Entry
from ingest.strip import strip
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT
from load.reports import make_report
from schemas.catalogue import load_catalogue
from schemas.framing import SINGLE_OBJECT, ByIds, Framing, confluent, single_object, split
from schemas.tier import RecordPolicy
from tests.reference_strip import decode_output
from tests.strategies import MANIFEST, NOW, encode

CATALOGUE = load_catalogue()
LATE = NOW + 1_234_567
"""Twenty minutes, 34 seconds and 567 milliseconds past the hour."""


def entry_of(report: str, tier: str, *, framing: Framing = SINGLE_OBJECT) -> Entry:
    """The entry of some report of a tier, appended at `LATE`."""
    schema = CATALOGUE.latest[report]
    plan = CATALOGUE.plans[tier, schema.fingerprint]
    values = make_report(schema, Random(1), now=NOW) | {"user_email": None, "serial": None, "report_id": bytes(16)}
    stripped = strip(
        decode(encode(schema, values), CATALOGUE.by_fingerprint), plan, names=MANIFEST, key=lambda: bytes(32), now=NOW
    )
    return to_entry(stripped, now=LATE, framing=framing)


HEADERS = {
    "ce_specversion": b"1.0",
    "ce_id": b"0" * 32,
    "ce_source": b"/t/managed",
    "ce_type": b"tidegate.route_window.v1",
    "ce_time": b"2026-11-21T13:20:34.567+00:00",
    "content-type": b"application/avro",
}


def test_a_managed_record_tells_its_millisecond() -> None:
    """Topic, key, time and headers of a tier that keeps the most are those of CloudEvents, and no others."""
    entry = entry_of("route_window", "managed")
    assert entry.topic == "tidegate.managed.route_window.v1"
    assert entry.key == bytes(16)
    assert entry.timestamp == LATE
    assert dict(entry.headers) == HEADERS


@pytest.mark.parametrize("tier", ["byod", "contractor"])
def test_a_record_of_whole_hours_tells_no_minute(tier: str) -> None:
    """Where the policy says hours, neither the timestamp nor any header tells a finer time."""
    entry = entry_of("route_window", tier)
    assert entry.timestamp == NOW
    assert dict(entry.headers) == {name: value for name, value in HEADERS.items() if name != "ce_time"} | {
        "ce_source": f"/t/{tier}".encode()
    }


@pytest.mark.parametrize("plan", CATALOGUE.plans.values(), ids=lambda plan: plan.topic)
def test_the_value_is_read_with_the_output_schema_alone(plan: object) -> None:
    """A value is a single-object message under the plan's output schema, in the topic of its tier and report."""
    found = next(known for known in CATALOGUE.plans.values() if known is plan)
    entry = entry_of(found.schema.name, found.tier.name)
    assert entry.topic == found.topic
    assert entry.value[:10] == b"\xc3\x01" + found.output_fingerprint
    assert decode_output(found, entry.value[10:])["policy_version"] == found.tier.version


def test_the_framing_comes_before_the_body() -> None:
    """Under ids a value begins with that of its schema in its topic, and is the same behind it."""
    single = entry_of("route_window", "managed")
    fingerprint, body_at = split(single.value)
    framing = ByIds()
    framing.add({(single.topic, fingerprint): 5, (CONTROL_TOPIC, OUTCOMES_FINGERPRINT): 6})
    framed = entry_of("route_window", "managed", framing=framing)
    assert framed == dataclasses.replace(single, value=confluent(5) + single.value[body_at:])
    assert outcomes_entry(b"body", gate_id="gate", now=LATE, framing=framing).value == confluent(6) + b"body"


@pytest.mark.parametrize(("timestamp", "expected"), [("millisecond", LATE), ("hour", NOW)])
def test_record_time(timestamp: str, expected: int) -> None:
    """A record tells its time as precisely as its tier lets it."""
    assert record_time(RecordPolicy.model_validate({"timestamp": timestamp, "headers": []}), LATE) == expected


def test_outcomes_go_to_control_by_gate() -> None:
    """A gate's outcomes keep their order, because the gate is the key, and carry no headers."""
    entry = outcomes_entry(b"body", gate_id="gate", now=LATE)
    assert entry == Entry(CONTROL_TOPIC, b"gate", single_object(OUTCOMES_FINGERPRINT) + b"body", LATE, ())
