"""Bad days one after the other, for two processes on one queue; then the device's account is compared with the truth.

The clocks are made up, so that weeks take seconds; everything on the device is the library's own.
"""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reporter.observing.inbox import Inbox
from reporter.queue import processes
from reporter.queue.unavailable import Unavailable
from reporter.sending.answers import Answer, NoAnswer
from reporter.work import DISK_SECONDS, Work
from tests.reporter.api.device import Bench, decoded, reporter_task
from tests.reporter.sending.made_up_gate import ID, MadeUpGate, accepted, report_of

STEPS = 60
DAY_SECONDS = 86_400.0
PROBLEMS = [
    Answer(200, {}, b"<html>welcome to the hotel</html>"),
    Answer(200, {}, b'{"reason": "gone", "action": "discard"}'),
    Answer(302, {"location": "https://evil.example"}, b'{"action": "discard"}'),
    *[Answer(202, {}, b'{"accepted": 1000000, "rejected": []}')] * 4,
    Answer(401, {}, b'{"reason": "token_revoked", "action": "ask_admin"}'),
    Answer(404, {}, b'{"reason": "unknown_report", "action": "keep"}'),
    Answer(413, {}, b"a proxy's"),
    *[Answer(503, {"retry-after": text}, b"") for text in ("0", "-5", "soon", "600", "9" * 30)],
]


class BadGate(MadeUpGate):
    """Takes things in and loses its answers, refuses some, or is somebody else; `bad` is how often."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.random = random
        self.bad = 0.5
        self.has: dict[bytes, bytes] = {}
        self.refused: set[bytes] = set()
        self.policy = self._policy
        self.verdict = self._verdict

    def _policy(self) -> Answer:
        if self.random.random() < self.bad:
            raise NoAnswer("unreachable")
        return MadeUpGate().policy()

    def _verdict(self, number: int) -> Answer:
        if self.random.random() >= self.bad:
            return accepted(number)
        match self.random.randrange(4):
            case 0:
                raise NoAnswer("timeout")
            case 1 | 2:
                return self.random.choice(PROBLEMS)
            case _:
                actions = [self.random.choice(["", "", "retry", "keep", "discard", "new"]) for _ in range(number)]
                no = [{"index": at, "reason": "why", "action": action} for at, action in enumerate(actions) if action]
                return accepted(number - len(no), rejected=no)

    def exchange(self, method: str, path: str, headers: Any, body: bytes | None) -> Answer:
        answer = super().exchange(method, path, headers, body)
        # Its clock agrees with none of the device's, so that nothing is given up for its age.
        answer = replace(answer, headers={"date": "Sat, 21 Nov 2020 08:00:00 GMT", **answer.headers})
        if method == "POST" and answer.status == 202 and b"1000000" not in answer.body:
            self._judged(json.loads(answer.body)["rejected"])
            if self.random.random() < self.bad / 4:
                raise NoAnswer("broken")
        return answer

    def _judged(self, rejected: list[Any]) -> None:
        """What it has once is taken again, whatever it would say of it else."""
        actions = {entry["index"]: entry["action"] for entry in rejected}
        for at, message in enumerate(self.posted[-1]):
            if at not in actions:
                self.has.setdefault(message[ID], message)
            elif actions[at] == "discard":
                self.refused.add(message[ID])


class Process:
    """One of the two processes of the device; `name` is what the queue knows it by."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench
        self.name = name
        self.work: Work = bench.new_work()
        self.inbox = Inbox(bench, bench.survival, wake=lambda: None, add_up=self.work.add)

    def observes(self, tasks: int) -> int:
        """It is told of so many tasks."""
        for _ in range(tasks):
            reporter_task(self.inbox, lambda _: None)
        return tasks

    def round(self) -> None:
        self.work.look()
        self.work.add_up(self.inbox)
        self.work.close()
        self.work.step()

    def dies(self) -> int:
        """It is killed after a round: the tasks of its open window."""
        self.work.parts().sender.close()
        return self.work.adding_up.tasks()


@pytest.mark.parametrize("seed", [1])
def test_a_month_of_bad_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Each report is at the gate, or refused by it, or counted as lost, and never two of these; so is each task."""
    random = Random(seed)
    print(f"seed {seed}")
    bench = Bench(tmp_path, gate := BadGate(random))
    here, dead = [""], set[str]()
    monkeypatch.setattr(processes, "this_process", lambda: here[0])
    monkeypatch.setattr(processes, "is_gone", lambda process: process in dead)
    pair = [Process(bench, name) for name in "ab"]
    told = killed = 0
    for number in range(STEPS):
        at = random.randrange(2)
        process = pair[at]
        here[0] = process.name
        told += process.observes(random.randrange(4))
        process.round()
        bench.advance(random.choice([5, 100, 301, 4000, 40_000]))
        # The clock jumps every now and then, but not out of what the gate takes.
        bench.at_ms += random.choice([0, 0, 0, -1, 1]) * random.randrange(20 * 86_400_000)
        bad = random.randrange(6)
        if bad == 0:
            process.round()
            killed += process.dies()
            dead.add(process.name)
            pair[at] = Process(bench, f"{process.name}{number}")
            pair[at].work.begin()
        elif bad == 1:
            with monkeypatch.context() as full:
                full.setattr(process.work.parts().queue._file, "_transaction", no_room)
                told += process.observes(1)
                process.round()
            bench.advance(DISK_SECONDS)
            process.round()
    gate.bad = 0.0
    for process in pair:
        process.work.close_all()
    empty(bench, pair)
    compare(bench, gate, told - killed)


def empty(bench: Bench, pair: list[Process]) -> None:
    """Let the queue run empty at a gate that takes everything."""
    queue = bench.work.parts().queue
    for step in range(2000):
        # Now and then a day goes by: what is held back, or was made by a clock that was ahead, waits for its time.
        bench.advance(DAY_SECONDS if step % 10 == 9 else max(1.0, *(process.work.step() for process in pair)))
        if not queue.depth().reports:
            return


def no_room(_: str) -> Any:
    """A disk that is full."""
    raise Unavailable("disk_full")


def compare(bench: Bench, gate: BadGate, tasks: int) -> None:
    """What the device counted with what its gate has."""
    status = bench.work.parts().queue.status()
    totals = Counter(status.totals)
    refused = gate.refused - gate.has.keys()
    assert (status.depth.reports, status.open_windows, bench.survival.errors) == (0, 0, {})
    assert totals["accepted"] == len(gate.has)
    assert totals["discarded.why"] == len(refused)
    lost = sum(number for name, number in totals.items() if name.startswith("lost."))
    assert totals["windows_closed"] == totals["accepted"] + len(refused) + lost
    assert lost == totals["lost.killed"]
    said = [decoded("route_window", one) for one in gate.has.values() if report_of(one) == "route_window"]
    routes = sum(row["tasks"] for one in said for row in one["rows"])
    assert routes <= tasks
    assert len(refused) or routes == tasks
