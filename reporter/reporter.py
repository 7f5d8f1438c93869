"""The library as an application holds it. docs/reporter.md is written for its users.

    reporter = Reporter(endpoint="https://gate.example/t/managed", token=token)
    with reporter.task(data_class="internal", planned="on_device") as task:
        task.ran_on("on_device", model="pocket-chat", version="2.1")

* What it is told is what `settings.json` of the directory says from then on, for every process of the device; without
  being told anything it goes by what stands there, and without such a file it does nothing.
* No public call raises. None reads a file or waits, but for `configure`, `consent`, `flush`, `status` and `close`, and
  for the first one of all where nothing was configured, which looks for `settings.json`.
* After a fork the child begins anew, with nothing of what its parent observed.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from threading import TIMEOUT_MAX, RLock
from typing import Any, Never, Unpack
from weakref import WeakSet

from reporter import configuring
from reporter.clock import Clock, SystemClock
from reporter.directory import Directory, given
from reporter.observing import unobserved
from reporter.observing.inbox import Inbox
from reporter.observing.notes import note_of
from reporter.observing.observation import (
    NOTED,
    EndedTask,
    ManifestAge,
    Note,
    Noted,
    Observation,
    OfflineQueue,
    Violation,
    ended,
)
from reporter.observing.running_task import RunningTask
from reporter.observing.said import (
    CapabilitySaid,
    FileSaid,
    HealthSaid,
    PathSaid,
    QueueSaid,
    SyncSaid,
)
from reporter.observing.session import Session
from reporter.parts import MakesParts, usual_parts
from reporter.reports import PURPOSES
from reporter.state import BadSettings
from reporter.survival import Survival, guarded, nothing
from reporter.windows.capability_window import CapabilityProbe
from reporter.windows.health_window import Health
from reporter.windows.inventory_window import ModelFile
from reporter.windows.path_window import PathProbe
from reporter.windows.sync_window import Sync
from reporter.windows.task import Task
from reporter.windows.vocabulary import text
from reporter.work import Work
from reporter.worker import EXIT_SECONDS, Worker

NOT_ASKED, OFF, ON = "not_asked", "off", "on"

NOTES = frozenset(NOTED.values())


def _no_status() -> dict[str, Any]:
    return {"state": OFF, "why": "the status cannot be had"}


def _no_session() -> Session:
    return unobserved.SESSION


class Reporter:
    """Everything that one application reports, from all of its threads.

    `exit_seconds` is how long the end of the process may be held up by a gate or a disk that does not answer, a second
    at least; what is not sent by then is sent by the next process. `parts` is for those who bring their own
    queue and sender, `clock` for those who bring their own time.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | None = None,
        *,
        directory: str | Path | None = None,
        clock: Clock | None = None,
        parts: MakesParts = usual_parts,
        exit_seconds: float | None = None,
        **settings: Unpack[configuring.MoreSettings],
    ) -> None:
        self.survival = Survival(self._turn_off)
        self._clock = clock or SystemClock()
        self._make_parts = parts
        self._path = directory
        self._exit_seconds = exit_seconds
        # The same thread may come again, below a signal handler.
        self._lock = RLock()
        self._inbox: Inbox | None = None
        self._worker: Worker | None = None
        self._work: Work | None = None
        self._settings: configuring.Source | None = None
        self._state = NOT_ASKED
        self._why: str | None = None
        EVERY.add(self)
        if endpoint is not None or token is not None or settings:
            self.configure(endpoint, token, **settings)

    @guarded(nothing)
    def configure(
        self,
        endpoint: str | None = None,
        token: str | None = None,
        *,
        directory: str | Path | None = None,
        exit_seconds: float | None = None,
        **settings: Unpack[configuring.MoreSettings],
    ) -> None:
        """Write what is given into `settings.json`, and report from now on; `status` says if that cannot be done.

        `exit_seconds` is as for `Reporter`, and holds for this process alone.
        """
        with self._lock:
            self._stop()
            self._path = directory or self._path
            self._exit_seconds = self._exit_seconds if exit_seconds is None else exit_seconds
            try:
                self._settings = configuring.configured(self._directory, endpoint, token, settings)
                self._turn_on()
            except (BadSettings, OSError) as error:
                self._why = configuring.why(error)

    def task(  # noqa: PLR0913  # all that is known of a task before it runs
        self,
        *unasked: Never,
        data_class: str | None = None,
        task_kind: str | None = None,
        planned: str | None = None,
        input_size: str | None = None,
        authority: str | None = None,
        reason: str | None = None,
        approved: bool | None = None,
        policy: str | None = None,
        offline: bool = False,
        session: str | None = None,
        **unknown: Never,
    ) -> RunningTask:
        """A task that begins now. It counts when its block ends, or when its `end` is called.

        `planned` is the route that it should take and `reason` why, by version `policy` of the routing policy;
        `approved` whether the device is approved for such data.
        """
        # Guarded by hand: a call more for each task would cost an application that is not configured a third more.
        inbox = self._inbox
        if inbox is None:
            inbox = self._looked_up()
            if inbox is None:
                return unobserved.TASK
        if unasked or unknown:
            self.survival.misused["task"] += 1
        task = EndedTask()
        task.data_class = data_class
        task.task_kind = task_kind
        task.planned_route = planned
        task.input_size = input_size
        task.authority = authority
        task.decision_reason = reason
        task.policy_version = policy
        task.offline = offline
        task.session = session
        if approved is not None:
            task.device_approved = "approved" if approved is True else "not_approved"
        return RunningTask(inbox, task)

    @guarded(_no_session)
    def session(self) -> Session:
        """A session, for tasks that belong together."""
        return unobserved.SESSION if self._taking() is None else Session(self)

    @guarded(nothing)
    def take(self, task: Task) -> None:
        """A task that has just ended, filled in by somebody else who will not touch it again."""
        if self._taking() is not None:
            self._put(ended(task, self._clock.now_ms()))

    @guarded(nothing)
    def sync(self, **said: Unpack[SyncSaid]) -> None:
        """The device and a store were brought into step, or tried to be."""
        self._note(Sync, said)

    @guarded(nothing)
    def offline_queue(self, **said: Unpack[QueueSaid]) -> None:
        """Something happened to the tasks that wait for a network."""
        self._note(OfflineQueue, said)

    @guarded(nothing)
    def path_probe(self, **said: Unpack[PathSaid]) -> None:
        """The path to a service was tried."""
        self._note(PathProbe, said)

    @guarded(nothing)
    def capability_probe(self, **said: Unpack[CapabilitySaid]) -> None:
        """What the device can do was tried."""
        self._note(CapabilityProbe, said)

    @guarded(nothing)
    def inventory(self, *, manifest_age_s: float | None = None, **said: Unpack[FileSaid]) -> None:
        """A model file that the device holds, or how old its manifest is."""
        if manifest_age_s is not None:
            self.note(ManifestAge(seconds=manifest_age_s))
        if said:
            self._note(ModelFile, said)

    @guarded(nothing)
    def health(self, **said: Unpack[HealthSaid]) -> None:
        """One look at the device."""
        self._note(Health, said)

    @guarded(nothing)
    def violation(self, kind: str, count: int = 1) -> None:
        """Something happened that the device's own policy does not allow."""
        self.note(Violation(kind=kind, count=count))

    @guarded(nothing)
    def note(self, what: Noted) -> None:
        """Something other than a task, as `reporter.observing.observation` has it."""
        if type(what) not in NOTES:
            self.survival.misused["note"] += 1
        elif self._taking() is not None:
            self._put(Note(self._clock.now_ms(), what))

    @guarded(nothing)
    def observe(self, observation: Observation) -> None:
        """Something that another process of this device observed (`reporter.observing.handing_over`)."""
        if type(observation) not in (EndedTask, Note):
            self.survival.misused["observe"] += 1
        elif self._taking() is not None:
            self._put(observation)

    @guarded(nothing)
    def consent(self, purpose: str, given: bool) -> None:  # noqa: FBT001  # it is what a person answered
        """A person agreed to a purpose, or withdrew; then what rests on it is deleted before this returns.

        Nothing but `True` is an agreement. A withdrawal holds after `close`, too.
        """
        known = text(purpose)
        if known not in PURPOSES or type(given) is not bool:
            self.survival.misused["consent"] += 1
        self._taking()
        if known in PURPOSES and self._settings is not None and self._work is not None:
            self._settings.consent(known, given=given is True)
            self._work.answered(known)

    @guarded(bool)
    def flush(self, timeout: float = 10.0) -> bool:
        """Close every window now and send what can be sent; whether that was everything, within so many seconds."""
        if self._taking() is None or self._worker is None:
            return False
        return self._worker.flush(seconds_of(timeout))

    @guarded(_no_status)
    def status(self) -> dict[str, Any]:
        """What there is to know of it, without a value of any task: `state` is on or off, and `why` it is off.

        `errors` are this library's own, by module and kind; `misused` is what was said wrongly, by call. While it is
        on there is more: docs/reporter.md.
        """
        self._taking()
        said: dict[str, Any] = {"state": self._state, "why": self._why}
        said |= {"errors": dict(self.survival.errors), "misused": dict(self.survival.misused)}
        return said if self._work is None or self._inbox is None else said | self._work.status(self._inbox)

    @guarded(nothing)
    def close(self, timeout: float = EXIT_SECONDS) -> None:
        """Report nothing more: what was observed is queued, and sent if that can be done in so many seconds."""
        worker, self._inbox = self._worker, None
        self._state, self._why = OFF, "closed"
        if worker is not None:
            worker.close(seconds_of(timeout))

    @guarded(nothing)
    def start(self) -> None:
        """Begin to work although nothing was observed yet: what other processes left in the queue is sent."""
        if self._taking() is not None and self._worker is not None:
            self._worker.wake()

    @guarded(nothing)
    def begin_anew(self) -> None:
        """After a fork, in the child: tasks that the parent began are the parent's."""
        self._lock = RLock()
        if self._worker is not None and self._work is not None:
            self._worker.abandon()
            self._work.abandon()
            if self._inbox is not None:
                self._turn_on()

    def _taking(self) -> Inbox | None:
        return self._inbox or self._looked_up()

    def _looked_up(self) -> Inbox | None:
        """The inbox, after the first call of an application that configured nothing has looked for a file."""
        if self._state == NOT_ASKED:
            self._look_once()
        return self._inbox

    @guarded(nothing)
    def _look_once(self) -> None:
        with self._lock:
            if self._state == NOT_ASKED:
                self._look_up()

    def _look_up(self) -> None:
        self._state, self._why = OFF, "not configured"
        try:
            self._settings = configuring.found(self._directory)
        except (BadSettings, OSError) as error:
            self._why = configuring.why(error)
            return
        if self._settings is not None:
            self._turn_on()

    @property
    def _directory(self) -> Directory:
        return Directory.usual() if self._path is None else Directory(given(self._path))

    def _turn_on(self) -> None:
        if self._settings is None:
            return
        work = Work(self._directory, self._settings, self._clock, self.survival, self._make_parts)
        worker = Worker(work, self.survival, seconds_of(self._exit_seconds))
        inbox = worker.inbox = Inbox(self._clock, self.survival, wake=worker.wake, add_up=work.add)
        self._work, self._worker, self._inbox = work, worker, inbox
        self._state, self._why = ON, None

    def _turn_off(self) -> None:
        """Too much went wrong."""
        self._inbox = None
        self._state, self._why = OFF, "too many errors of its own"
        if self._worker is not None:
            self._worker.stop()

    def _stop(self) -> None:
        """What was observed under the settings before is queued under them."""
        if self._worker is not None:
            self._worker.close(0.0)
        self._inbox = None
        self._state, self._why = OFF, "not configured"
        self.survival.begin_anew()

    def _put(self, observation: Observation) -> None:
        if self._inbox is not None:
            self._inbox.put(observation)

    def _note(self, kind: type[Any], said: Mapping[str, Any]) -> None:
        if self._taking() is not None:
            what, unknown = note_of(kind, said)
            if unknown:
                self.survival.misused[kind.__name__] += unknown
            self._put(Note(self._clock.now_ms(), what))


def seconds_of(said: Any) -> float:
    """Seconds to wait for, as an application said them; as many as usual for what is no number."""
    try:
        return min(max(0.0, float(said)), TIMEOUT_MAX / 2)  # in this order NaN is 0
    except Exception:  # noqa: BLE001  # an object of an application may raise what it likes
        return EXIT_SECONDS


EVERY: WeakSet[Reporter] = WeakSet()


def _begin_anew() -> None:
    for reporter in list(EVERY):
        reporter.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
