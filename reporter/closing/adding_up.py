"""Adds observations up, in the order in which they come, and says which spans of time are over.

* At most one span is open. An observation that lies before it by less than `LATE_MS` is counted in it all the same:
  threads overtake each other. One that lies further back, or behind the end, begins another.
* A clock that jumps ends the open span: nobody knows which of its times were right.
* Several threads may add; the lock is held for one observation at a time.
"""

from collections.abc import Callable
from threading import RLock
from typing import Any

from reporter.closing.span import Span
from reporter.observing.observation import (
    EndedTask,
    ManifestAge,
    Observation,
    OfflineQueue,
    Steadiness,
    Violation,
)
from reporter.windows.capability_window import CapabilityProbe, CapabilityWindow
from reporter.windows.disclosure import FAILED_CLOSED
from reporter.windows.health_window import Health, HealthWindow
from reporter.windows.inventory_window import InventoryWindow, ModelFile
from reporter.windows.numbers import whole
from reporter.windows.path_window import PathProbe, PathWindow
from reporter.windows.stability_window import Sessions, StabilityWindow
from reporter.windows.sync_window import Sync, SyncWindow
from reporter.windows.trace_window import TraceWindow
from reporter.windows.vocabulary import name, text
from reporter.windows.ways_back import WaysBack

LATE_MS = 10_000
"""Longer than a thread is kept from its work on a busy machine."""

MOST_OVER = 24
"""Spans that nobody takes, because no thread could be started for instance: two hours of a usual tier."""

JUMP_MS = 60_000
"""A clock that is kept in step by the network moves by far less at a time."""


class AddingUp:
    """What one process observes. `minutes` is how long spans are, `consents` those that a new one begins under."""

    def __init__(self, minutes: int) -> None:
        # A finaliser may end a task while another one is being added.
        self._lock = RLock()
        self._minutes = minutes
        self._open: Span | None = None
        self._over: list[Span] = []
        self._ways = WaysBack()
        self.sessions = Sessions()
        self._offset_ms: float | None = None
        self.given_up = 0
        """Spans that nobody took."""
        self.consents: frozenset[str] = frozenset()
        self.manifest_age: float | None = None

    @property
    def open_span(self) -> Span | None:
        """The span that is being added to, if there is one."""
        return self._open

    def tasks(self) -> int:
        """How many tasks the open span has."""
        with self._lock:
            return 0 if self._open is None else self._open.tasks.tasks

    def add(self, observation: Observation) -> None:
        """Counts what was observed."""
        with self._lock:
            at_ms, span = observation.at_ms, self._open
            if span is None or not span.start_ms <= at_ms < span.end_ms:
                span = self._span(at_ms)
            if isinstance(observation, EndedTask):
                self._add_task(observation, span)
            else:
                ADDERS[type(observation.what)](self, span, observation.what)
            span.saw(at_ms)

    def set_minutes(self, minutes: int) -> None:
        """Spans are that long from now on; an open one that is longer ends at the next border."""
        with self._lock:
            if self._open and minutes < self._minutes:
                self._open.cut_to(minutes)
            self._minutes = minutes

    def look_at_clock(self, now_ms: int, monotonic: float) -> None:
        """To be called now and then: ends the open span where the wall clock has left the other one."""
        offset = now_ms - monotonic * 1000
        with self._lock:
            if self._offset_ms is not None and abs(offset - self._offset_ms) > JUMP_MS:
                self._end()
            self._offset_ms = offset

    def over(self, now_ms: int) -> list[Span]:
        """The spans that have ended by then, oldest first; they are the caller's now."""
        with self._lock:
            if self._open and not self._open.start_ms - LATE_MS <= now_ms < self._open.end_ms:
                self._end()
            return self._taken()

    def all(self) -> list[Span]:
        """Every span, the open one too, which ends with this."""
        with self._lock:
            self._end()
            return self._taken()

    def _taken(self) -> list[Span]:
        over, self._over = self._over, []
        return over

    def _end(self) -> None:
        if self._open:
            self._ways.close(self._open.tasks)
            self._over.append(self._open)
            self._open = None
            if len(self._over) > MOST_OVER:
                del self._over[0]
                self.given_up += 1

    def _span(self, at_ms: int) -> Span:
        """The span for something that happened then."""
        span = self._open
        if span and not span.start_ms - LATE_MS <= at_ms < span.end_ms:
            self._end()
            span = None
        if span is None:
            span = self._open = Span(at_ms, self._minutes, self.consents)
        return span

    def _add_task(self, task: EndedTask, span: Span) -> None:
        complete(task)
        at_ms, tasks = task.at_ms, span.tasks
        at_ms = max(at_ms, span.start_ms)
        cell = tasks.add(task)
        self._ways.after(cell, task, at_ms, tasks)
        stability = span.window(StabilityWindow)
        stability.add(task)
        session = name(task.session)
        if session is not None:
            stability.ran(session, cell, at_ms, self.sessions)


def complete(task: EndedTask) -> None:
    """Adds what follows from the rest: what failed closed did not succeed, what fell back moved what it sent."""
    route = text(task.actual_route)
    if route in FAILED_CLOSED:
        task.succeeded = False
        task.refused = task.refused or route == "refused"
    if task.fallback_reason is not None and not whole(task.bytes_moved):
        task.bytes_moved = task.bytes_sent


def _add_queue(_: AddingUp, span: Span, what: OfflineQueue) -> None:
    window = span.window(SyncWindow)
    if what.depth is not None:
        window.queued(what.depth)
    if what.left_after_s is not None:
        window.left_queue(what.left_after_s)
    window.count(expired=what.expired, replays_asked=what.replays_asked, replays_unasked=what.replays_unasked)


def _add_steadiness(adding: AddingUp, span: Span, what: Steadiness) -> None:
    window = span.window(StabilityWindow)
    if what.switches is not None:
        window.said(what.session, switches=what.switches, shortest_s=what.shortest_s)
    window.count(held=what.held, bytes_redownloaded=what.bytes_redownloaded)
    if what.ended:
        adding.sessions.ended(what.session)


def _add_manifest_age(adding: AddingUp, span: Span, what: ManifestAge) -> None:
    span.window(InventoryWindow)
    adding.manifest_age = what.seconds


ADDERS: dict[type[Any], Callable[[AddingUp, Span, Any], None]] = {
    Sync: lambda _, span, what: span.window(SyncWindow).add(what),
    OfflineQueue: _add_queue,
    PathProbe: lambda _, span, what: span.window(PathWindow).add(what),
    CapabilityProbe: lambda _, span, what: span.window(CapabilityWindow).add(what),
    ModelFile: lambda _, span, what: span.window(InventoryWindow).add(what),
    ManifestAge: _add_manifest_age,
    Health: lambda _, span, what: span.window(HealthWindow).add(what),
    Steadiness: _add_steadiness,
    Violation: lambda _, span, what: span.window(TraceWindow).violated(what.kind, what.count),
}
