"""Batches: a verdict for each record, one bad record spoils nothing else, and `?check=1` stores nothing."""

import gzip
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zstandard

from ingest.body import MAX_REPORTS
from ingest.records import GATES_OWN
from schemas.framing import split
from schemas.output_schema import RESERVED_NAMES
from tests.end_to_end.avro_by_hand import long
from tests.end_to_end.reports import Reports
from tests.end_to_end.wire import assert_refused
from tests.running_gate import Answer, RunningGate, running_gate, tier_files

SEQUENCE = "application/avro-sequence"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate under the policies that ship."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


@pytest.fixture(scope="module")
def reports(gate: RunningGate) -> Reports:
    """Valid reports to start from."""
    return Reports(gate.catalogue)


def sequence(*messages: bytes) -> bytes:
    """Each message behind its length."""
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def stored(gate: RunningGate) -> list[bytes]:
    """The report_id of every report in the log."""
    return [entry.key for entry in gate.entries() if entry.topic not in GATES_OWN]


def post(gate: RunningGate, body: bytes, content_type: str = SEQUENCE, query: str = "", **headers: str) -> Answer:
    """A post to the managed tier's route_window."""
    sent = {"content-type": content_type} | headers
    return gate.post("managed", "route_window", body, query=query, headers=sent)


def verdict(index: int, reason: str, action: str, path: str | None = None) -> dict[str, Any]:
    """How one record that was not accepted is told."""
    told = {"index": index, "outcome": "rejected", "reason": reason, "action": action}
    return told if path is None else told | {"path": path}


def test_every_record_has_its_verdict(gate: RunningGate, reports: Reports) -> None:
    """Good records of a batch are stored whatever stands beside them, and each bad one is told by place and reason."""
    good = [bytes([number]) * 16 for number in (101, 102, 103)]
    body = sequence(
        reports.message(report_id=good[0]),
        reports.message(instead={"rows.data_class": long(-1)}),
        b"no Avro",
        reports.message(report_id=good[1]),
        reports.message("health_window"),
        b"",
        reports.message(report_id=good[2]),
    )
    before = stored(gate)
    answer = post(gate, body + b"\x00\x00\x01\x00cut short")
    assert answer.status == 202
    assert answer.document["accepted"] == 3
    assert answer.document["rejected"] == [
        verdict(1, "bad_enum_index", "discard", "rows.data_class"),
        verdict(2, "bad_marker", "discard"),
        verdict(4, "wrong_report", "discard"),
        verdict(5, "bad_marker", "discard"),
        verdict(7, "bad_framing", "discard"),
    ]
    assert sorted(stored(gate)) == sorted(before + good)


MIXED = ("route_window", "health_window", "fallback_window")


def test_a_batch_of_any_reports(gate: RunningGate, reports: Reports) -> None:
    """Posted to no report in particular each message is what its fingerprint says, and what was taken off names it."""
    ids = {name: bytes([number]) * 16 for number, name in enumerate(MIXED, start=201)}
    messages = [reports.message(name, report_id=ids[name], hostname="somebodys-pc") for name in MIXED]
    body = sequence(messages[0], b"no Avro", *messages[1:])
    answer = gate.post("managed", None, body, headers={"content-type": SEQUENCE})
    assert (answer.status, answer.document["accepted"]) == (202, 3)
    assert answer.document["rejected"] == [verdict(1, "bad_marker", "discard")]
    hostnames = [entry for entry in answer.document["taken_off"] if entry["field"] == "hostname"]
    assert hostnames == [{"report": name, "field": "hostname", "action": "drop"} for name in MIXED]
    topics = {entry.key: entry.topic for entry in gate.entries()}
    assert [topics[ids[name]] for name in MIXED] == [f"tidegate.managed.{name}.v1" for name in MIXED]


def test_one_report_of_any(gate: RunningGate, reports: Reports) -> None:
    """A single message needs no report in the path either, and a check shows what it would be."""
    answer = gate.post("managed", None, reports.message("health_window"), query="?check=1")
    assert answer.document["checked"][0]["topic"] == "tidegate.managed.health_window.v1"
    refused = gate.post("managed", None, b"no Avro")
    assert_refused(refused, "bad_marker", gate.catalogue, status=400, action="discard")


PREFERENCES = [
    pytest.param("return=minimal", True, id="minimal"),
    pytest.param('respond-async, Return = "minimal"; foo', True, id="among others, with all that the grammar allows"),
    pytest.param("return=representation", False, id="another one"),
    pytest.param("no-return=minimal, return=minimally", False, id="names that only look like it"),
    pytest.param("return=representation, return=minimal", False, id="the first one counts"),
    pytest.param('foo="a, return=minimal"', False, id="the text of another one"),
    pytest.param('return="minimal', False, id="half a quotation"),
    pytest.param("", False, id="none"),
]


@pytest.mark.parametrize(("prefer", "minimal"), PREFERENCES)
@pytest.mark.parametrize("report", ["route_window", None])
def test_a_minimal_answer(gate: RunningGate, reports: Reports, report: str | None, prefer: str, minimal: bool) -> None:
    """Who prefers a minimal answer is not told what was taken off, and everything else as ever."""
    body = sequence(reports.message(hostname="somebodys-pc"), b"no Avro")
    answer = gate.post("managed", report, body, headers={"content-type": SEQUENCE, "prefer": prefer})
    least = {"accepted": 1, "rejected": [verdict(1, "bad_marker", "discard")], "policy_version": 1}
    assert answer.status == 202
    assert (answer.document == least) == minimal
    assert answer.document | least == answer.document


FRAMING = [
    pytest.param(b"\x00\x00\x00", id="a length cut short"),
    pytest.param(b"\x00\x00\x00\x09too few", id="a message cut short"),
    pytest.param(b"\xff\xff\xff\xffall", id="a length of 4 GiB"),
]


@pytest.mark.parametrize("body", FRAMING)
def test_a_batch_of_nothing_but_a_broken_frame(gate: RunningGate, body: bytes) -> None:
    """A batch in which nothing can be found is a batch with one bad record."""
    answer = post(gate, body)
    assert (answer.status, answer.document["accepted"]) == (202, 0)
    assert answer.document["rejected"] == [verdict(0, "bad_framing", "discard")]


def test_a_batch_of_too_many_is_refused_whole(gate: RunningGate, reports: Reports) -> None:
    """A batch that is too long is kept by its sender, all of it, and nothing of it is stored."""
    one = reports.message("health_window")
    largest = gate.post("managed", "health_window", sequence(*[one] * MAX_REPORTS), headers={"content-type": SEQUENCE})
    assert (largest.status, largest.document["accepted"]) == (202, MAX_REPORTS)
    before = len(stored(gate))
    answer = gate.post(
        "managed", "health_window", sequence(*[one] * (MAX_REPORTS + 1)), headers={"content-type": SEQUENCE}
    )
    assert_refused(answer, "too_many_reports", gate.catalogue, status=413, action="keep")
    assert len(stored(gate)) == before


def test_a_report_that_is_too_large(gate: RunningGate, reports: Reports) -> None:
    """One report over 64 KiB is refused by itself, and the others of its batch are taken."""
    rows = reports.report()["rows"] * 200
    answer = post(gate, sequence(reports.message(), reports.message(rows=rows)))
    assert (answer.status, answer.document["accepted"]) == (202, 1)
    assert answer.document["rejected"] == [verdict(1, "report_too_large", "discard")]


def test_a_check_that_is_too_large(gate: RunningGate, reports: Reports) -> None:
    """A check of more than 64 KiB is refused, for what it shows is many times as large."""
    body = sequence(*[reports.message() for _ in range(100)])
    answer = gate.post("managed", "route_window", body, headers={"content-type": SEQUENCE}, query="?check=1")
    assert_refused(answer, "check_too_large", gate.catalogue, status=413, action="discard")


CODINGS = [
    pytest.param("gzip", gzip.compress, id="gzip"),
    pytest.param("GZIP", gzip.compress, id="gzip in upper case"),
    pytest.param("zstd", zstandard.compress, id="zstd"),
    pytest.param("identity", bytes, id="no coding, said so"),
]


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
def test_compressed_batches_are_taken(
    gate: RunningGate, reports: Reports, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    """A batch may come compressed."""
    body = compress(sequence(reports.message(), reports.message()))
    assert post(gate, body, **{"content-encoding": coding}).document["accepted"] == 2


def as_json(reports: Reports, **changes: Any) -> dict[str, Any]:
    """A report as JSON has it: bytes in hex."""
    report = reports.report("health_window") | changes
    return report | {"report_id": report["report_id"].hex()}


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_taken_as_one_report_or_as_many(gate: RunningGate, reports: Reports, content_type: str) -> None:
    """A JSON object is one report, an array a batch with a verdict for each; names that no schema has are counted."""

    def send(value: object) -> Answer:
        body = json.dumps(value).encode()
        return gate.post("managed", "health_window", body, headers={"content-type": content_type})

    one = send(as_json(reports) | {"person": "somebody", "machine": "pc"})
    assert (one.status, one.document["accepted"], one.document["unknown_names"]) == (202, 1, 3)
    many = send([as_json(reports), as_json(reports, battery="empty"), 17, as_json(reports)])
    assert many.document["accepted"] == 2
    assert many.document["rejected"] == [
        verdict(1, "bad_enum_index", "discard", "battery"),
        verdict(2, "wrong_type", "discard"),
    ]


def test_an_answer_names_what_was_taken_off(gate: RunningGate, reports: Reports) -> None:
    """A 202 tells which fields of the schema were not kept, and from when on one of them will be refused."""
    message = reports.message(
        device_id="pc-17", user_email="a@example.org", ip_address="192.0.2.1", agent_version="1.2"
    )
    told = {entry["field"]: entry for entry in post(gate, message, "application/avro").document["taken_off"]}
    assert told["device_id"] == {"field": "device_id", "action": "pseudonymise"}
    assert told["user_email"] == {"field": "user_email", "action": "drop"}
    assert told["ip_address"] == {"field": "ip_address", "action": "drop", "refused_from": "9999-01-01"}
    assert "agent_version" not in told


def test_a_check_stores_nothing(gate: RunningGate, reports: Reports) -> None:
    """`?check=1` shows what would be stored and what would be refused, and leaves no trace in log and ledger."""
    before, counted = stored(gate), gate.metrics()
    body = sequence(reports.message(hostname="somebodys-pc", agent_version="4.5.6-beta"), b"no Avro")
    answer = post(gate, body, query="?check=1")
    assert answer.status == 200
    shown, refused = answer.document["checked"]
    assert (shown["outcome"], shown["topic"]) == ("accepted", "tidegate.managed.route_window.v1")
    assert shown["stripped"]["agent_version"] == "4.5.6"
    assert "hostname" not in shown["stripped"]
    assert refused == verdict(1, "bad_marker", "discard")
    assert stored(gate) == before
    now = gate.metrics()
    ledger = [name for name in now if name.startswith(("tidegate_gate_received", "tidegate_gate_reports"))]
    assert [now[name] for name in ledger] == [counted.get(name, 0) for name in ledger]
    checked = 'tidegate_gate_checked_total{tier="managed"}'
    assert now[checked] == counted[checked] + 2


def test_a_check_and_a_post_agree(gate: RunningGate, reports: Reports) -> None:
    """What a check shows is what a post then stores, byte by byte as far as it can be seen."""
    message = reports.message(report_id=b"checked and then")
    shown = post(gate, message, "application/avro", "?check=1").document["checked"][0]["stripped"]
    post(gate, message, "application/avro")
    (entry,) = [entry for entry in gate.entries() if entry.key == b"checked and then"]
    fingerprint, body_at = split(entry.value)
    plan = next(plan for plan in gate.catalogue.plans.values() if plan.output_fingerprint == fingerprint)
    stored = plan.readable(entry.value[body_at:])
    assert {name: value for name, value in stored.items() if name not in RESERVED_NAMES} == shown
