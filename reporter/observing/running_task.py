"""A task while it runs, as the application tells it.

    with reporter.task(data_class="internal", planned="on_device") as task:
        ...
        task.ran_on("on_device", model="pocket-chat", version="2.1")

Nothing here takes a lock, reads a file or waits. A task that is not ended is not counted.
"""

from types import TracebackType
from typing import Any, Self

from reporter.observing.inbox import Inbox
from reporter.observing.observation import EndedTask
from reporter.survival import Survival, guarded, nothing

MS = 1000

DISCLOSED = {True: "disclosed", False: "undisclosed"}


class _Over(EndedTask):
    """A task that has ended: what is told of it goes nowhere."""

    __slots__ = ("_is_over",)

    def __init__(self) -> None:
        EndedTask.__init__(self)
        self._is_over = True

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(self, "_is_over"):
            EndedTask.__setattr__(self, name, value)


OVER = _Over()


class RunningTask:
    """Made by `Reporter.task`; to be used by one thread at a time, whichever that is.

    Words are those of docs/reporter.md; one that does not exist is counted as `other`. What is said twice holds as it
    was said last, and numbers are added up.
    """

    __slots__ = ("_failed", "_inbox", "_started", "_task")

    def __init__(self, inbox: Inbox, task: EndedTask) -> None:
        self._inbox = inbox
        self._task = task
        self._failed = False
        self._started: float | None = inbox.monotonic()

    @property
    def survival(self) -> Survival:
        """Where is counted what goes wrong."""
        return self._inbox.survival

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._failed = True
        self.end()

    @guarded(nothing)
    def end(self) -> None:
        """The task is over; only the first call counts. A block of `with` does it by itself."""
        started, inbox, task = self._started, self._inbox, self._task
        if started is None:
            return
        self._started = None
        if task.latency_ms is None:
            task.latency_ms = (inbox.monotonic() - started) * MS
        task.succeeded = not self._failed
        task.at_ms = inbox.now_ms()
        # What is told from now on must not change what is being added up.
        self._task = OVER
        inbox.put(task)

    @guarded(nothing)
    def ran_on(
        self,
        route: str,
        *,
        model: str | None = None,
        version: str | None = None,
        precision: str | None = None,
        region: str | None = None,
    ) -> None:
        """The route that the task took in the end; `region` is where it was served."""
        task = self._task
        task.actual_route = route
        task.model = model
        task.model_version = version
        task.precision = precision
        task.served_region = region

    @guarded(nothing)
    def fell_back(
        self,
        reason: str,
        *,
        consent: str | None = None,
        disclosed: bool | None = None,
        bytes_moved: int | None = None,
        seconds: int | None = None,
    ) -> None:
        """The task does not run as planned, and why; whether that was agreed to, and shown to the person.

        `seconds` stands in place of the time in fallback that is measured from one task to the next.
        """
        task = self._task
        task.fallback_reason = reason
        if reason == "offline":
            task.offline = True
        task.consent = consent
        if disclosed is not None:
            task.disclosed = DISCLOSED[bool(disclosed)]
        if bytes_moved is not None:
            task.bytes_moved += bytes_moved
        task.seconds_in_fallback = seconds

    @guarded(nothing)
    def returned(self, after_s: int, *, by_canary: bool = False) -> None:
        """The planned route was found back so long after it was left, which else is measured."""
        self._task.returned_after_s = after_s
        self._task.returned_by_canary = by_canary

    @guarded(nothing)
    def disclosed(self, *what: str) -> None:
        """Things that were told to the person: fallback_shown, quality_difference, residency, ..."""
        self._task.disclosures = self._task.disclosures.union(what)

    @guarded(nothing)
    def tokens(self, read: int = 0, written: int = 0) -> None:
        """Tokens of the prompt and of the answer."""
        self._task.tokens_in += read
        self._task.tokens_out += written

    @guarded(nothing)
    def first_token(self) -> None:
        """The first token of the answer is there."""
        if self._started is not None and self._task.first_token_ms is None:
            self._task.first_token_ms = (self._inbox.monotonic() - self._started) * MS

    @guarded(nothing)
    def took(self, latency_ms: float, *, first_token_ms: float | None = None) -> None:
        """Times that the application measured itself, in place of those of the block."""
        self._task.latency_ms = latency_ms
        if first_token_ms is not None:
            self._task.first_token_ms = first_token_ms

    @guarded(nothing)
    def sent(self, number_of_bytes: int) -> None:
        """Bytes that left the device's zone."""
        self._task.bytes_sent += number_of_bytes

    @guarded(nothing)
    def attempt(self) -> None:
        """The task is tried once more, after the first time."""
        self._task.attempts += 1

    @guarded(nothing)
    def cold_start(self) -> None:
        """The model had to be loaded first."""
        self._task.cold_start = True

    @guarded(nothing)
    def contract(self, *, valid: bool) -> None:
        """The answer was checked against the contract of its output."""
        self._task.contract_checked = True
        self._task.contract_valid = bool(valid)

    @guarded(nothing)
    def citations(self, expected: int, present: int) -> None:
        """How many sources the answer should have named, and how many it did."""
        self._task.citations_expected += expected
        self._task.citations_present += present

    @guarded(nothing)
    def degraded(self) -> None:
        """The answer is knowingly worse than the planned route's."""
        self._task.degraded = True

    @guarded(nothing)
    def offline(self) -> None:
        """There was no network."""
        self._task.offline = True

    @guarded(nothing)
    def refused(self) -> None:
        """The task failed closed: it must not run where it could."""
        self._failed = self._task.refused = True
        self._task.actual_route = "refused"

    @guarded(nothing)
    def failed(self) -> None:
        """The task did not succeed, without an exception that leaves the block."""
        self._failed = True
