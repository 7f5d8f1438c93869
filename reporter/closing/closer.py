"""Closes a span: its reports go into the queue as bytes, all of them and what they make the device remember, or none.

The settings are read inside of the queue's transaction. A consent that is withdrawn is written there first and then
forgotten in the queue, so that a report resting on it is never put in after that.
"""

from collections.abc import Callable
from typing import Any

from reporter.closing.saying import SAYS, TRACE, PolicyTelling, Saying, trace
from reporter.closing.span import Span
from reporter.messages import encode
from reporter.policy import LEAST, Policy
from reporter.queue.nouns import Queued
from reporter.queue.queue import Closing, Queue
from reporter.state import Settings
from reporter.strip import TakenOff, strip
from reporter.windows.folding import MOST_ROWS, Folding
from reporter.windows.presence import Firsts, flagged
from reporter.windows.vocabulary import Row

UNFIT = "unfit"
"""Why a report was lost that this library made and cannot write: an error of its own."""

NO_SETTINGS = "no_settings"
"""Why a window was lost whose device was told meanwhile to report to nobody."""

FEW_ROWS = 50
"""So many are short enough in any case."""

MOST_BYTES = 60_000
"""A gate takes messages of 64 KiB; identifiers come to these when they are sent."""


class Closer:
    """`settings` are read for each span; `failed` is told of a report that could not be made."""

    def __init__(
        self, queue: Queue, settings: Callable[[], Settings | None], failed: Callable[[Exception], None]
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._failed = failed

    def close(self, span: Span, manifest_age: float | None) -> None:
        """Put the span's reports in; where there are no settings any more it is lost.

        Raises what the queue and the settings raise, and may be called again then.
        """
        unfit = 0
        with self._queue.closing(span.name) as closing:
            settings = self._settings()
            if settings is not None:
                policy = self._queue.policy(settings.endpoint) or LEAST
                unfit = _Reports(span, settings, policy, closing).put(manifest_age, self._failed)
        if settings is None:
            self._queue.give_up(span.name, NO_SETTINGS)
        if unfit:
            self._queue.give_up(span.name, UNFIT, reports=unfit)


class _Reports:
    """The reports of one span under one policy."""

    def __init__(self, span: Span, settings: Settings, policy: Policy, closing: Closing) -> None:
        self._span = span
        self._device = settings.device
        self._policy = policy
        self._consents = settings.consents & span.consents
        self._closing = closing
        self._firsts = _restored(closing.presence)

    def put(self, manifest_age: float | None, failed: Callable[[Exception], None]) -> int:
        """Put them in; how many could not be made."""
        unfit = 0
        for report in (*SAYS, TRACE):
            if self._policy.allows(report, self._consents):
                try:
                    self._put(report, manifest_age)
                except Exception as error:  # noqa: BLE001  # a bug in one report must not cost the others
                    failed(error)
                    unfit += 1
        self._closing.presence = self._firsts.state()
        return unfit

    def _put(self, report: str, manifest_age: float | None) -> None:
        if report == TRACE:
            untold = self._closing.untold()
            self._closing.put(self._made(report, trace(self._span, untold), ()), tells=untold)
            return
        row, taken_off = self._said(report, manifest_age)
        if row is not None:
            self._closing.put(self._made(report, row, taken_off))

    def _said(self, report: str, manifest_age: float | None) -> tuple[Row | None, tuple[TakenOff, ...]]:
        """What the report says, with fewer rows where it would be longer than a gate takes."""
        most = MOST_ROWS
        while True:
            telling = PolicyTelling(self._policy, self._consents)
            folding = Folding(least=self._policy.min_tasks_per_row, most=most, telling=telling)
            row = SAYS[report](self._span, Saying(folding, manifest_age))
            if row is None or most <= FEW_ROWS or len(row.get("rows", ())) <= FEW_ROWS or self._fits(report, row):
                return row, telling.taken_off
            most //= 2

    def _fits(self, report: str, row: Row) -> bool:
        bare = strip(self._header(report) | row, report, self._policy, self._consents)
        return len(encode(report, bare.values).content) <= MOST_BYTES

    def _made(self, report: str, row: Row, taken_off: tuple[TakenOff, ...]) -> Queued:
        """One report, stripped before anything else is done with it; flags are about what is left then."""
        values = self._header(report) | row
        bare = strip(values, report, self._policy, self._consents)
        flags = flagged(report, bare.values, self._span.start_ms, self._firsts)
        kept = strip(flags, report, self._policy, self._consents)
        is_known = self._policy is not LEAST
        return Queued(
            report_id=values["report_id"],
            report=report,
            tier=self._policy.tier if is_known else None,
            policy_version=self._policy.version if is_known else None,
            purposes=bare.purposes | kept.purposes,
            window_start=kept.values["window_start"],
            window_end=kept.values["window_end"],
            not_before_ms=kept.values["window_end"] - self._policy.clock_ahead_seconds * 1000,
            message=encode(report, kept.values),
            taken_off=_summed(taken_off, bare.taken_off, kept.taken_off),
        )

    def _header(self, report: str) -> dict[str, Any]:
        span = self._span
        header: dict[str, Any] = {
            **self._device.fields(),
            "report_id": span.report_id(report),
            "window_start": span.start_ms,
            "window_end": span.end_ms,
        }
        return header | {"network_context": "offline"} if span.tasks.is_offline else header


def _restored(presence: Any) -> Firsts:
    """What the device remembers; a state that cannot be read is as good as none."""
    try:
        return Firsts.restored(presence or {})
    except ValueError:
        return Firsts()


def _summed(*many: Any) -> tuple[TakenOff, ...]:
    """What was taken off in all steps, each field and action once."""
    sums: dict[tuple[str, str], int] = {}
    for taken_off in many:
        for field, action, number in taken_off:
            sums[field, action] = sums.get((field, action), 0) + number
    return tuple(TakenOff(field, action, number) for (field, action), number in sums.items())
