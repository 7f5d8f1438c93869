"""A reporter in a folder of its own, and a gate in memory that has what it sent; the clock stands still."""

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import fastavro

from ingest.clock import ManualClock
from reporter.clock import Clock
from reporter.directory import Directory
from reporter.observing.handing_over import Handing
from reporter.observing.inbox import Inbox
from reporter.observing.observation import EndedTask
from reporter.observing.running_task import RunningTask
from reporter.parts import MakesParts, Parts, SettingsNow
from reporter.queue.nouns import Queued
from reporter.queue.queue import Queue
from reporter.reporter import Reporter
from reporter.reports import for_avro
from reporter.sending.sender import Sender
from reporter.sending.sender_lock import SenderLock
from reporter.state import Settings, SettingsFile, write
from reporter.survival import Survival
from reporter.work import Work
from tests.reporter.made_up import NOW_MS
from tests.reporter.sending.made_up_gate import ID, MadeUpGate, report_of

PATIENCE_SECONDS = 30.0

ENDPOINT = "https://gate.example/t/managed"


def parts_with(gate: MadeUpGate) -> MakesParts:
    """The usual parts, but for the network."""

    def make(directory: Directory, settings: SettingsNow, clock: Clock) -> Parts:
        queue = Queue(directory.queue, clock=clock)
        lock = SenderLock(directory.sender_lock)
        sender = Sender(queue, settings, lambda _: gate, lock=lock, clock=clock, random=Random(0))
        return Parts(queue, sender, Handing(directory.socket, clock.monotonic))

    return make


def reporter_in(folder: Path, gate: MadeUpGate | None = None, clock: Clock | None = None, **settings: Any) -> Reporter:
    """A reporter as an application makes one."""
    parts = parts_with(gate or MadeUpGate())
    return Reporter(
        ENDPOINT, "token", directory=folder, parts=parts, clock=clock or ManualClock(NOW_MS + 1000), **settings
    )


class Bench:
    """The work of a reporter without its thread: a test does each step itself.

    `at_ms` is the clock's time, which may be set to anything.
    """

    def __init__(self, folder: Path, gate: MadeUpGate | None = None, **settings: Any) -> None:
        self.at_ms = NOW_MS
        self.passed = 0.0
        self.gate = gate or MadeUpGate()
        self.directory = Directory(folder)
        self.directory.make()
        write(self.directory.settings, Settings(**{"endpoint": ENDPOINT, "token": "token", **settings}))
        self.survival = Survival(lambda: None)
        self.work = self.new_work()
        self.inbox = Inbox(self, self.survival, wake=lambda: None, add_up=self.work.add)

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.passed

    def advance(self, seconds: float) -> None:
        """Both clocks go on."""
        self.at_ms += round(seconds * 1000)
        self.passed += seconds

    def new_work(self) -> Work:
        """The work of another process."""
        settings = SettingsFile(self.directory.settings)
        return Work(self.directory, settings, self, self.survival, parts_with(self.gate))

    def knows_policy(self) -> "Bench":
        """Ask the gate for its policy, as a worker does in its first round."""
        self.work.step()
        return self

    def task(self, tell: Callable[[RunningTask], None] = lambda _: None, **said: Any) -> None:
        """A task that ends now."""
        reporter_task(self.inbox, tell, **said)

    def round(self) -> None:
        """One round of the worker but for sending."""
        self.work.look()
        self.work.add_up(self.inbox)
        self.work.close()

    def queued(self, tier: str | None = "managed") -> list[Queued]:
        """What is in the queue."""
        return [one.queued for one in self.work.parts().queue.peek(tier, 1000)]

    def said(self, report: str, tier: str | None = "managed") -> list[dict[str, Any]]:
        """What the queued reports of a type say, in order of time."""
        return [decoded(report, one.message.content) for one in self.queued(tier) if one.report == report]


def reporter_task(inbox: Inbox, tell: Callable[[RunningTask], None], **said: Any) -> None:
    """A task of an application, which tells of it and ends."""
    task = EndedTask()
    facts = {"planned_route": "on_device", "actual_route": "on_device", "data_class": "internal", **said}
    for name, value in facts.items():
        setattr(task, name, value)
    with RunningTask(inbox, task) as running:
        tell(running)


@lru_cache
def _parsed(report: str) -> Any:
    return fastavro.parse_schema(for_avro(report))


def decoded(report: str, message: bytes) -> dict[str, Any]:
    """A message as the values of its report."""
    found: Any = fastavro.schemaless_reader(io.BytesIO(message[ID.start :]), _parsed(report), None)
    return dict(found)


def sent(gate: MadeUpGate, report: str) -> list[dict[str, Any]]:
    """What the gate was told in reports of a type."""
    return [decoded(report, one) for messages in gate.posted for one in messages if report_of(one) == report]


def only_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """The only row of a report."""
    (row,) = values["rows"]
    return dict(row)
