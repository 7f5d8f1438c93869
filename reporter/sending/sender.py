"""The sender: what one process of a device does, again and again, to have reports taken. Read `step` first."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from reporter.clock import Clock
from reporter.policy import LEAST, Policy
from reporter.queue.nouns import Waiting
from reporter.queue.queue import ANSWER, Queue
from reporter.queue.unavailable import Unavailable
from reporter.sending.answers import (
    MAX_RETRY_AFTER,
    Answer,
    Decision,
    GoOn,
    NoAnswer,
    Pause,
    Shrink,
    Wait,
    WaitAndShrink,
    date,
    decide,
)
from reporter.sending.body import MAX_BODY, body
from reporter.sending.connection import Transport
from reporter.sending.pace import BEYOND, Pace
from reporter.sending.policy_watch import PolicyWatch
from reporter.sending.sender_lock import SenderLock
from reporter.state import BadSettings, Settings
from reporter.strip import identifiers

PATH = "/v1/reports"

BRIEFLY = {"Prefer": "return=minimal"}
"""The gate's list of what it took off is of no use to a device that stripped before (RFC 7240, 4.2)."""

ANOTHER_SENDS_SECONDS = 30.0
NOT_CONFIGURED_SECONDS = 60.0
DISK_SECONDS = 30.0
"""Until it is tried again: while another process sends, there are no settings, the queue cannot be used."""

CLOCK_AGREES_SECONDS = 86_400.0
"""Reports are given up for their age only by a clock that is no further from the gate's: a jump would cost them all."""

DAY_SECONDS = 86_400.0

WAITING, WENT_ON, FAILED, NOTHING_DUE = "waiting", "went_on", "failed", "nothing_due"
"""What a step came to."""


class Sender:
    """The one that sends, if it has the lock; see `reporter.sending`. `settings` gives those of the moment."""

    def __init__(
        self,
        queue: Queue,
        settings: Callable[[], Settings | None],
        connect: Callable[[Settings], Transport],
        *,
        lock: SenderLock,
        clock: Clock,
        random: Random,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._connect = connect
        self._lock = lock
        self._clock = clock
        self._random = random
        self.pace = Pace(clock.monotonic, random)
        self._current: Settings | None = None
        self._transport: Transport | None = None
        self._watch: PolicyWatch | None = None
        self._expired_at: float | None = None
        self._outcome = WAITING

    def step(self) -> float:
        """Do what may be done now, one request at most; the seconds until there may be more to do."""
        self._outcome = WAITING
        try:
            settings = self._settings()
        except (BadSettings, OSError):
            settings = None
        if settings is None:
            return NOT_CONFIGURED_SECONDS
        if not self._lock.take():
            return ANOTHER_SENDS_SECONDS
        try:
            return self._step(settings)
        except Unavailable:
            # What was accepted may not be settled: it is sent again, which the gate counts once, but not in haste.
            self.hang_up()
            self.pace.failed()
            self._outcome = FAILED
            return max(self.pace.seconds(), DISK_SECONDS)

    def flush(self, seconds: float) -> bool:
        """Send what is due without delays of our own, for so long; whether nothing is left that may go now.

        A request that is under way is not broken off, so it may take longer where the gate does not answer.
        """
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            self.pace.hurry()
            self.step()
            if self._outcome != WENT_ON:
                break
        return self._outcome == NOTHING_DUE

    def hang_up(self) -> None:
        """Close the connection; the next step that needs one makes it."""
        if self._transport is not None:
            self._transport.close()

    def close(self) -> None:
        """Hang up, and let another process send."""
        self.hang_up()
        self._lock.release()

    def abandon(self) -> None:
        """After a fork, in the child: connection and lock are the parent's. This sender is of no more use."""
        self._transport = None
        self._lock.abandon()

    def _step(self, settings: Settings) -> float:
        transport, watch = self._as_set(settings)
        if self.pace.seconds() > 0:
            return self.pace.seconds()
        if watch.is_due:
            self._outcome = WENT_ON
            return self._ask_for_policy(transport, watch, settings)
        policy = watch.policy
        batch = self._batch(settings, policy)
        if not batch:
            self.hang_up()
            self.pace.found_nothing()
            self._outcome = NOTHING_DUE
            return self.pace.seconds()
        self.pace.found()
        if self.pace.seconds() <= 0:
            self._outcome = WENT_ON
            watch.applied(self._send(transport, batch, settings, policy or LEAST), policy)
        return self.pace.seconds()

    def _as_set(self, settings: Settings) -> tuple[Transport, PolicyWatch]:
        """Everything that depends on the settings, made anew whenever they are others."""
        if self._transport is None or self._watch is None or settings != self._current:
            self.hang_up()
            self._withdraw(settings.consents)
            self._watch = PolicyWatch(
                self._queue, settings.endpoint, monotonic=self._clock.monotonic, random=self._random
            )
            self._transport = self._connect(settings)
            self._begin(settings, self._watch)
            self._current = settings
        return self._transport, self._watch

    def _begin(self, settings: Settings, watch: PolicyWatch) -> None:
        if self._current is None:
            self._go_on_from(self._queue.fact(ANSWER) or {}, settings.endpoint)
        elif _way(settings) != _way(self._current):
            self.pace.restart()
            # Another token may be one of another tier, which must not get what was made for the one before.
            watch.ask_first()
            return
        self._discard_other_tiers(settings, watch)

    def _go_on_from(self, told: Mapping[str, Any], endpoint: str) -> None:
        """What the process before this one noted of the gate: for how long it wants to hear nothing, and how much."""
        if told.get("endpoint") != endpoint:
            return
        until, most = told.get("asked_until_ms"), told.get("most_reports")
        if isinstance(most, int):
            self.pace.at_most(most)
        if isinstance(until, int):
            left = until / 1000 - self._clock.now_ms() / 1000
            if 0 < left <= MAX_RETRY_AFTER * (1 + BEYOND):
                self.pace.asked(left)

    def _withdraw(self, consents: frozenset[str]) -> None:
        """Nothing stays that rests on a consent which is not given; whoever withdrew it may have missed a window."""
        for purpose in self._current.consents - consents if self._current else ():
            self._queue.forget(purpose)
        self._queue.keep_only(consents)

    def _ask_for_policy(self, transport: Transport, watch: PolicyWatch, settings: Settings) -> float:
        try:
            reason = watch.ask(transport)
        except NoAnswer as failure:
            self._failed(failure)
            return self.pace.seconds()
        if reason is None:
            self._discard_other_tiers(settings, watch)
        else:
            self._note(reason=reason)
        return 0.0

    def _discard_other_tiers(self, settings: Settings, watch: PolicyWatch) -> None:
        """Where they are not to be kept; while the tier is not known nothing is."""
        if settings.on_tier_change == "discard" and (policy := watch.policy) is not None:
            self._queue.discard_other_tiers(policy.tier)

    def _batch(self, settings: Settings, policy: Policy | None) -> Sequence[Waiting]:
        return self._queue.due(
            None if policy is None else policy.tier,
            settings.consents,
            limit_bytes=MAX_BODY,
            limit_reports=self.pace.most_reports,
        )

    def _send(self, transport: Transport, batch: Sequence[Waiting], settings: Settings, policy: Policy) -> int | None:
        """Send a batch and do as the answer says; the version of the policy that the gate applied, if it says so."""
        reports = {one.queued.report for one in batch}
        posted = body(batch, {report: self._identifiers(report, settings, policy) for report in reports})
        if posted.unsendable:
            self._queue.give_up_damaged(posted.unsendable)
        if not posted.waiting:
            return None
        try:
            answer = transport.exchange("POST", PATH, {**posted.headers, **BRIEFLY}, posted.content)
        except NoAnswer as failure:
            self._failed(failure)
            return None
        decision = decide(answer, len(posted.waiting))
        self._queue.settle(posted.waiting, decision.verdicts, uploaded=len(posted.content))
        self._follow(decision, len(posted.waiting))
        self._note(status=answer.status, reason=decision.reason, policy_version=decision.policy_version)
        if isinstance(decision.then, GoOn):
            self._expire(answer, policy)
        return decision.policy_version

    def _identifiers(self, report: str, settings: Settings, policy: Policy) -> Mapping[str, str]:
        if not policy.takes(report):
            return {}
        return identifiers(settings.identifiers, report=report, policy=policy, consents=settings.consents)

    def _follow(self, decision: Decision, sent: int) -> None:
        match decision.then:
            case GoOn():
                self.pace.answered()
            case Wait(seconds):
                self.pace.failed(seconds)
            case Shrink():
                self.pace.too_many(sent)
            case WaitAndShrink(seconds):
                self.pace.too_many(sent)
                self.pace.failed(seconds)
            case Pause():
                self.pace.refused()
        if not isinstance(decision.then, GoOn | Shrink):
            self.hang_up()
            self._outcome = FAILED

    def _failed(self, failure: NoAnswer) -> None:
        self.pace.failed()
        self.hang_up()
        self._outcome = FAILED
        self._note(reason=failure.reason)

    def _expire(self, answer: Answer, policy: Policy) -> None:
        """Once a day, by a clock that the gate's own agrees with. A gate that names no date is believed."""
        gates = date(answer.headers.get("date", ""))
        if gates is not None and abs(gates - self._clock.now_ms() / 1000) > CLOCK_AGREES_SECONDS:
            return
        now = self._clock.monotonic()
        if self._expired_at is None or now - self._expired_at > DAY_SECONDS:
            self._queue.expire(policy.horizon_days)
            self._expired_at = now

    def _note(self, *, status: int | None = None, reason: str | None, policy_version: int | None = None) -> None:
        """The last answer, for `status` of whichever process."""
        told: dict[str, Any] = {"at_ms": self._clock.now_ms(), "status": status, "reason": reason}
        waits = {"circuit": self.pace.circuit, "seconds": round(self.pace.seconds(), 1)}
        asked = {
            "endpoint": None if self._current is None else self._current.endpoint,
            "asked_until_ms": self._clock.now_ms() + round(self.pace.asked_seconds * 1000),
            "most_reports": self.pace.limit,
        }
        self._queue.note(ANSWER, {**told, **waits, **asked, "policy_version": policy_version})


def _way(settings: Settings) -> tuple[str | None, ...]:
    """What decides who answers, and how."""
    return settings.endpoint, settings.token, settings.ca_file, settings.proxy
