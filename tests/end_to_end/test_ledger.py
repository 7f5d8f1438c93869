"""The ledger on the control topic: what the gate says it received and what became of it is what the clients saw."""

import json
import signal
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest.records import CONTROL_TOPIC, GATES_OWN
from tests.end_to_end.reports import Reports
from tests.end_to_end.wire import connection, head
from tests.running_gate import Answer, RunningGate, copy_tier, eventually, running_gate, tier_files

MINUTE_MS = 60_000
FOLLOWED = {"only": None, "publish_every_seconds": 3600, "settle_seconds": 3600}

Ledger = Counter[tuple[str, str]]
"""(tier, outcome) -> reports; `received` is an outcome here, as in the records."""


class Bookkeeper:
    """A client that books for itself what it sent and what it was told."""

    def __init__(self, gate: RunningGate) -> None:
        self.gate = gate
        self.seen: Ledger = Counter()

    def post(self, tier: str, body: bytes, *, kind: str = "avro", **more: Any) -> Answer:
        """Post to a tier's route_window and book the answer."""
        headers = {"content-type": f"application/{kind}"}
        answer = self.gate.post(tier, "route_window", body, headers=headers, **more)
        self.book(tier if tier in self.gate.catalogue.tiers else "none", answer)
        return answer

    def book(self, tier: str, answer: Answer) -> None:
        """Enter an answer: a verdict for each record of a batch, or one for all that was sent."""
        told = answer.document
        if answer.status == 202:
            outcomes = ["accepted"] * told["accepted"] + [entry["reason"] for entry in told["rejected"]]
        else:
            outcomes = [told["reason"]]
        self.seen.update((tier, outcome) for outcome in outcomes)
        self.seen[tier, "received"] += len(outcomes)


def records(gate: RunningGate) -> list[dict[str, Any]]:
    """The outcomes that the gates of a log left behind, in the order of the log."""
    return [gate.decoded(entry) for entry in gate.entries() if entry.topic == CONTROL_TOPIC]


def ledger(found: list[dict[str, Any]]) -> Ledger:
    """The sums over all records; of those with the same number the last one counts."""
    last = {(record["gate_id"], record["sequence"]): record for record in found}
    sums: Ledger = Counter()
    for record in last.values():
        for count in record["counts"]:
            sums[count["tier"], count["outcome"]] += count["count"]
    return sums


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGate, Ledger]]:
    """A gate that was told to stop in good order, after posts of every kind, and what their sender booked."""
    folder = tmp_path_factory.mktemp("gate")
    tiers = tier_files(folder / "tiers")
    copy_tier(tiers / "managed.toml", "slow", requests_per_second="0.01", burst="3")
    with running_gate(folder, tiers=tiers) as gate:
        books = Bookkeeper(gate)
        send_everything(books, Reports(gate.catalogue))
        hang_up(books)
        assert gate.stop() == 0
        yield gate, books.seen


def send_everything(books: Bookkeeper, reports: Reports) -> None:
    """Good and bad posts to all tiers, single ones and batches."""
    good = reports.message()
    batch = b"".join(struct.pack(">I", len(one)) + one for one in [good, b"no Avro", good, good[:-1], good])
    plain = reports.report() | {"report_id": "0" * 32}
    for tier in ("managed", "byod", "contractor", "slow"):
        for _ in range(3):
            books.post(tier, good)
        books.post(tier, batch, kind="avro-sequence")
        books.post(tier, json.dumps([plain, 17, plain]).encode(), kind="json")
        books.post(tier, good, token="tg_wrong")
        books.post(tier, good, query="?check=2")
        books.post(tier, b"", kind="avro")
        books.post(tier, reports.message("health_window"))
    books.post("nobody", good, token="tg_wrong")
    # A check is no part of the ledger, and neither is what is not posted.
    books.gate.post("managed", "route_window", good, query="?check=1")
    books.gate.post("managed", "route_window", good[:30], query="?check=1")
    books.gate.post("managed", "route_window", b"", query="?check=1")
    books.gate.post("managed", "route_window", good, query="?check=1", token="tg_wrong")
    books.gate.get("/t/managed/v1/policy")


def hang_up(books: Bookkeeper) -> None:
    """A sender that goes away in the middle is told nothing, and is booked all the same."""
    name = 'tidegate_gate_reports_total{outcome="disconnected",tier="byod"}'
    with connection(books.gate) as opened:
        opened.sendall(head(books.gate, "/t/byod/v1/reports/route_window", length=1000) + b"half")
    eventually(lambda: books.gate.metrics().get(name) == 1, "the gate noticed")
    books.seen.update([("byod", "disconnected"), ("byod", "received")])


def test_the_ledger_is_what_the_sender_saw(ended: tuple[RunningGate, Ledger]) -> None:
    """Every count of the ledger, per tier and outcome, is the count that the sender booked."""
    gate, seen = ended
    assert ledger(records(gate)) == seen
    assert {outcome for _, outcome in seen} > {"accepted", "rate_exceeded", "misdirected", "disconnected"}


def test_the_ledger_balances(ended: tuple[RunningGate, Ledger]) -> None:
    """Per tier, what was received is what was accepted, rejected, or in doubt."""
    sums = ledger(records(ended[0]))
    for tier in {tier for tier, _ in sums}:
        decided = sum(number for (of, outcome), number in sums.items() if of == tier and outcome != "received")
        assert decided == sums[tier, "received"] > 0


def test_the_log_holds_what_the_ledger_calls_accepted(ended: tuple[RunningGate, Ledger]) -> None:
    """As many reports are in the topics of a tier as the ledger says were accepted there."""
    gate, seen = ended
    stored = Counter(entry.topic.split(".")[1] for entry in gate.entries() if entry.topic not in GATES_OWN)
    assert stored == {tier: number for (tier, outcome), number in seen.items() if outcome == "accepted"}


def test_a_series_has_no_gap_and_an_end(ended: tuple[RunningGate, Ledger]) -> None:
    """The records of a gate are numbered from 0, each begins where the one before it ended, and the last is final."""
    found = records(ended[0])
    assert [record["sequence"] for record in found] == list(range(len(found)))
    assert len({record["gate_id"] for record in found}) == 1
    assert [record["from_time"] for record in found[1:]] == [record["to_time"] for record in found[:-1]]
    assert [record["final"] for record in found] == [False] * (len(found) - 1) + [True]


@pytest.mark.faults
def test_a_killed_gate_leaves_a_series_without_an_end(tmp_path: Path) -> None:
    """The series of a gate that was killed has no final record, and the next gate begins one of its own."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers) as gate:
        gate.post("managed", "route_window", Reports(gate.catalogue).message())
        eventually(lambda: ledger(records(gate))["managed", "accepted"] == 1, "the count is in the log")
        gate.stop(signal.SIGKILL)
    with running_gate(tmp_path, tiers=tiers) as gate:
        gate.stop()
        final = {record["gate_id"]: record["final"] for record in records(gate)}
    assert sorted(final.values()) == [False, True]


def unknown_spans(gate: RunningGate) -> int:
    """What A3 shows of all gates together, once everything in the log is published."""
    assert gate.publish().status == 200
    rows = gate.ask("/v1/answers/A3?by=tier", role="auditor").document["rows"]
    return sum(row["unknown_spans"] for row in rows)


@pytest.mark.faults
def test_what_a_killed_gate_took_along_is_shown_as_one_gap(tmp_path: Path) -> None:
    """A3 shows a killed gate's end once the gate after it has told of two minutes, and a stopped one's never."""
    tiers, ahead = tier_files(tmp_path / "tiers"), tmp_path / "ahead"
    settings: dict[str, Any] = {**FOLLOWED, "wrapper": turned_by(ahead)}
    with running_gate(tmp_path, tiers=tiers, **settings) as gate:
        message = Reports(gate.catalogue).message()
        accepted_and_told(gate, message, times=1)
        gate.stop(signal.SIGKILL)
    with running_gate(tmp_path, tiers=tiers, **settings) as gate:
        accepted_and_told(gate, message, times=2)
        assert unknown_spans(gate) == 0
        ahead.write_text(str(3 * MINUTE_MS))
        accepted_and_told(gate, message, times=3)
        assert unknown_spans(gate) == 1
        assert gate.stop() == 0
    ahead.write_text(str(6 * MINUTE_MS))
    with running_gate(tmp_path, tiers=tiers, **settings) as gate:
        assert unknown_spans(gate) == 1


def accepted_and_told(gate: RunningGate, message: bytes, *, times: int) -> None:
    """Post a report, and wait until the gates have told of so many."""
    assert gate.post("managed", "route_window", message).status == 202
    eventually(lambda: ledger(records(gate))["managed", "accepted"] == times, "the count is in the log")


def turned_by(ahead: Path) -> Sequence[str]:
    """What starts the program with a clock that is ahead by the milliseconds in a file."""
    script = 'ahead=$1 python=$2; shift 3; exec "$python" -m load.faults.turned_clock "$ahead" "$@"'
    return ("sh", "-c", script, "sh", str(ahead))
