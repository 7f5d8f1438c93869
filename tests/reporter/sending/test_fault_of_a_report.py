"""A report on which the gate always fails: the oldest goes first, and all others would wait behind it."""

from pathlib import Path

from reporter.queue.nouns import Queued
from reporter.sending.answers import Answer
from tests.reporter.made_up import HOUR_MS, NOW_MS, put, report
from tests.reporter.sending.made_up_gate import MadeUpDevice, MadeUpGate, accepted

FAULT = Answer(500, {}, b'{"reason": "internal", "action": "retry"}')


class FailingGate(MadeUpGate):
    """Fails on every request that holds the `bad` report."""

    def __init__(self, bad: Queued | None) -> None:
        super().__init__()
        self.bad = bad
        self.has: set[bytes] = set()

    def exchange(self, *request: object) -> Answer:
        answer = super().exchange(*request)  # type: ignore[arg-type]
        sent = set(self.ids)
        self.posted.clear()
        if self.bad is not None and self.bad.report_id in sent:
            return FAULT
        self.has |= sent
        return answer


def backlog() -> list[Queued]:
    """Hours of reports of two types, oldest first."""
    hours = range(20, 0, -1)
    return [report(name, start=NOW_MS - hour * HOUR_MS) for hour in hours for name in ("health_window", "trace_window")]


def test_others_pass_it(tmp_path: Path) -> None:
    """All others arrive within the hour; it waits for a fourth of its age, and arrives once the gate is mended."""
    reports = backlog()
    gate = FailingGate(bad=reports[5])
    device = MadeUpDevice(tmp_path, gate)
    put(device.queue, *reports)
    device.run(2400)
    assert gate.has == {one.report_id for one in reports} - {reports[5].report_id}
    assert device.queue.status().held == {"internal": 1}
    (bad,) = device.queue.peek("managed", 9)
    assert 4 <= (bad.queued.not_before_ms - NOW_MS) / HOUR_MS < 6
    gate.bad = None
    device.clock.advance(6 * 3600)
    device.run(300)
    assert gate.has == {one.report_id for one in reports}
    assert device.queue.depth().reports == 0


def test_others_pass_it_in_short_processes(tmp_path: Path) -> None:
    """Processes that live for one attempt each get as far as one that goes on: each knows how far the last one came."""
    reports = backlog()
    gate = FailingGate(bad=reports[0])
    put(MadeUpDevice(tmp_path, gate).queue, *reports)
    for _ in range(12):
        device = MadeUpDevice(tmp_path, gate)
        device.sender.flush(5.0)
        device.sender.close()
    assert len(gate.has) == len(reports) - 1


def test_a_gate_that_fails_on_everything(tmp_path: Path) -> None:
    """After hours of faults nothing is lost, and all of it arrives within a fourth of the time they took."""
    gate = MadeUpGate()
    gate.verdict = lambda _: FAULT
    device = MadeUpDevice(tmp_path, gate)
    reports = [report(start=NOW_MS - HOUR_MS - number * 300_000) for number in range(40)]
    put(device.queue, *reports)
    device.run(4 * 3600)
    gate.verdict = accepted
    gate.posted.clear()
    device.clock.advance(2 * 3600)
    device.run(900)
    assert sorted(gate.ids) == sorted(one.report_id for one in reports)
