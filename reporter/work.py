"""The work behind the application's back: observations are added up, spans closed, reports queued and sent.

    add_up()   what waits in the inbox goes to the agent, or into the span of its time
    close()    spans that are over become reports in the queue
    step()     one request at most

All of it is done by the worker's thread (`reporter.worker`). At the end of a process, and where an application asks for
it, adding up and closing are done by another one, for the worker may be waiting for the network at that moment.

While nothing can be written, at most `MOST_UNCLOSED` spans are kept in memory; what is given up is counted.
"""

from contextlib import suppress
from dataclasses import asdict
from threading import RLock
from typing import Any

from reporter.clock import Clock
from reporter.closing.adding_up import AddingUp
from reporter.closing.span import MS_PER_HOUR, Span
from reporter.directory import Directory
from reporter.forking import FORKING
from reporter.observing.inbox import Inbox
from reporter.observing.observation import Observation
from reporter.parts import Hands, MakesParts, Parts, SettingsNow
from reporter.policy import LEAST
from reporter.queue.unavailable import Unavailable
from reporter.state import BadSettings, remove_drafts
from reporter.survival import Survival

MOST_UNCLOSED = 3
"""Some 100 KiB each in a busy time."""

STANDS_STILL_SECONDS = 2.0
"""Adding up thousands of observations takes less, also on a busy machine: the worker waits for somebody else then."""

LOOK_SECONDS = 5.0
"""How often settings, policy and clock are looked at."""

DISK_SECONDS = 30.0
"""Until it is tried again where nothing can be written."""

SWEEP_SECONDS = 3600.0
"""How often it is looked whether a process has ended without a word."""

NOT_NOW = (Unavailable, BadSettings, OSError)
"""What may be better later: no disk, no rights, settings that are being mended."""


class Work:
    """One process's work in one directory."""

    def __init__(
        self, directory: Directory, settings: SettingsNow, clock: Clock, survival: Survival, make: MakesParts
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._survival = survival
        self._make = make
        self._lock = RLock()
        self._adding = RLock()
        self._parts: Parts | None = None
        self._unclosed: list[Span] = []
        self._given_up = 0
        self._looked_at: float | None = None
        self._consents: frozenset[str] | None = None
        self._step_at: float | None = None
        self._close_at = self._sweep_at = 0.0
        self.is_preparing = False
        """Whether modules are being loaded, for which nobody but this process is waited."""
        self.knows_policy = False
        self.adding_up = AddingUp(LEAST.window_minutes)
        self.trouble: str | None = None
        """Why nothing could be written when it was tried last."""
        with suppress(*NOT_NOW):
            if (now := settings()) is not None:
                self._consents = self.adding_up.consents = now.consents

    def status(self, inbox: Inbox) -> dict[str, Any]:
        """What there is to know of this process, and of the queue where that can be read."""
        agent = self._parts and self._parts.agent
        said: dict[str, Any] = {
            "waiting": len(inbox),
            "given_up": inbox.given_up,
            "tasks_in_window": self.adding_up.tasks(),
            "windows_unclosed": len(self._unclosed),
            "windows_given_up": self._given_up + self.adding_up.given_up,
            "handed_over": agent.handed_over if agent else 0,
            "trouble": self.trouble,
            "queue": None,
        }
        with suppress(*NOT_NOW):
            said["queue"] = asdict(self.parts().queue.status())
        return said

    def answered(self, purpose: str) -> None:
        """A person answered. The consent stood before, as far as anybody knows, so that it is noticed if not now."""
        self._consents = (self._consents or frozenset()) | {purpose}
        with suppress(*NOT_NOW):
            self.follow_settings()

    def parts(self) -> Parts:
        """The parts, made when they are first asked for; raises OSError and `BadSettings` for the directory."""
        # Modules are imported here: no lock of ours may be waited for by whoever holds back a fork.
        with FORKING.held(), self._lock:
            if self._parts is None:
                self._directory.make()
                self.is_preparing = True
                try:
                    self._parts = self._make(self._directory, self._settings, self._clock)
                finally:
                    self.is_preparing = False
            return self._parts

    def begin(self) -> None:
        """What is done before anything else, and now and then: what processes that were killed have left is seen to."""
        self._sweep_at = self._clock.monotonic() + SWEEP_SECONDS
        remove_drafts(self._directory.settings)
        with suppress(*NOT_NOW):
            self.parts().queue.sweep()

    def look(self) -> None:
        """Notices what others changed: consents, the policy, the clock."""
        now = self._clock.monotonic()
        if self._looked_at is not None and now < self._looked_at + LOOK_SECONDS:
            return
        self._looked_at = now
        self.adding_up.look_at_clock(self._clock.now_ms(), now)
        if now >= self._sweep_at:
            self.begin()
        with suppress(*NOT_NOW):
            self.follow_settings()

    def follow_settings(self) -> None:
        """Goes by settings and policy as they are now; raises what they raise."""
        settings = self._settings()
        consents = frozenset() if settings is None else settings.consents
        self.adding_up.consents = consents
        queue = self.parts().queue
        for withdrawn in (self._consents or frozenset()) - consents:
            queue.forget(withdrawn)
        self._consents = consents
        policy = None if settings is None else queue.policy(settings.endpoint)
        self.knows_policy = policy is not None
        self.adding_up.set_minutes((policy or LEAST).window_minutes)

    def add_up(self, inbox: Inbox) -> None:
        """Takes everything out of the inbox."""
        agent = self._agent()
        # Nobody may close a span while somebody else holds what belongs to it.
        with FORKING.held(), self._adding:
            for observation in inbox.taken():
                if agent is None or not agent.over(observation):
                    self._add(observation)

    def add(self, observation: Observation) -> bool:
        """Counts one observation in this process, in the thread of an application; whether that could be done soon."""
        with FORKING.held_within(STANDS_STILL_SECONDS) as is_held:
            if is_held:
                self._add(observation)
            return is_held

    def _add(self, observation: Observation) -> None:
        """An error costs this one and no other."""
        try:
            self.adding_up.add(observation)
        except Exception as error:  # noqa: BLE001  # an application may have said anything
            self._survival.count(error)

    def close(self) -> None:
        """Puts spans that are over into the queue, and marks the one that is not."""
        over = self.adding_up.over(self._clock.now_ms())
        # What could not be written is made anew each time, which an application would notice before long.
        if over or not self._unclosed or self._clock.monotonic() >= self._close_at:
            self._close(over)
        # Nobody closes the span meanwhile: a mark that is made after that would stay, and count as a loss.
        with suppress(*NOT_NOW), FORKING.held(), self._lock:
            span = self.adding_up.open_span
            if span is not None and not span.is_marked and self.trouble is None:
                # Whole hours: nothing on the disk is finer than any tier wants it.
                self.parts().queue.opened(span.name, span.start_ms - span.start_ms % MS_PER_HOUR)
                span.is_marked = True

    def close_all(self) -> None:
        """Ends the open span and puts everything into the queue."""
        self._close(self.adding_up.all())

    def step(self) -> float:
        """One request, if its time has come; seconds until there may be another."""
        now = self._clock.monotonic()
        if self._step_at is None or now >= self._step_at:
            try:
                pause = self.parts().sender.step()
                # A newer policy than the first is noticed when it is looked for, every few seconds.
                if not self.knows_policy:
                    self.follow_settings()
            except NOT_NOW:
                pause = DISK_SECONDS
            self._step_at = now + pause
        return max(self._step_at - now, 0.0)

    def flush(self, seconds: float) -> bool:
        """Send what there is without delays of our own, for so long; whether nothing is left here."""
        try:
            went_out = self.parts().sender.flush(seconds)
            self.follow_settings()
        except NOT_NOW:
            return False
        return went_out and not self._unclosed

    def seconds_to_close(self) -> float | None:
        """Until the open span is over; None where there is none."""
        span = self.adding_up.open_span
        return None if span is None else max(span.end_ms - self._clock.now_ms(), 0) / 1000

    def end(self) -> None:
        """Lets go of network and agent."""
        if self._parts is not None:
            self._parts.sender.close()
            if self._parts.agent is not None:
                self._parts.agent.close()

    def abandon(self) -> None:
        """After a fork, in the child: everything here is the parent's."""
        if self._parts is not None:
            self._parts.sender.abandon()

    def _agent(self) -> Hands | None:
        try:
            return self.parts().agent
        except NOT_NOW:
            return None

    def _close(self, over: list[Span]) -> None:
        with FORKING.held(), self._lock:
            self._unclosed += over
            try:
                while self._unclosed:
                    self._close_one(self._unclosed[0])
                    del self._unclosed[0]
                self.trouble = None
            except NOT_NOW as error:
                self.trouble = _trouble(error)
                self._close_at = self._clock.monotonic() + DISK_SECONDS
                self._give_up_oldest(self.trouble)

    def _close_one(self, span: Span) -> None:
        from reporter.closing.closer import Closer  # noqa: PLC0415  # SQLite comes with it

        queue = self.parts().queue
        self._keep_evidence(span)
        try:
            Closer(queue, self._settings, self._survival.count).close(span, self.adding_up.manifest_age)
        except NOT_NOW:
            raise
        except Exception as error:  # noqa: BLE001  # an error of ours, which would come again each time
            self._survival.count(error)
            queue.give_up(span.name, "error")

    def _keep_evidence(self, span: Span) -> None:
        """For the owner of the device; what is wrong with it keeps no report from being made."""
        evidence = self.parts().evidence
        if evidence is None:
            return
        from reporter.evidence import DIMENSIONS  # noqa: PLC0415  # SQLite comes with it

        try:
            evidence.add(span.name, span.start_ms, span.tasks.tasks_by(DIMENSIONS))
        except NOT_NOW:
            pass
        except Exception as error:  # noqa: BLE001  # as above
            self._survival.count(error)

    def _give_up_oldest(self, cause: str) -> None:
        while len(self._unclosed) > MOST_UNCLOSED:
            span = self._unclosed.pop(0)
            self._given_up += 1
            with suppress(*NOT_NOW):
                self.parts().queue.give_up(span.name, cause)


def _trouble(error: Exception) -> str:
    if isinstance(error, Unavailable):
        return error.reason
    return "settings" if isinstance(error, BadSettings) else "unwritable"
