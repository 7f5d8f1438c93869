"""What each report of a span says below its header."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

from reporter.closing.span import Span
from reporter.policy import Policy
from reporter.queue.nouns import Untold
from reporter.reports import schema
from reporter.strip import TakenOff, told
from reporter.windows.capability_window import CapabilityWindow
from reporter.windows.folding import Folding
from reporter.windows.health_window import HealthWindow
from reporter.windows.histogram import as_posted
from reporter.windows.inventory_window import InventoryWindow
from reporter.windows.path_window import PathWindow
from reporter.windows.stability_window import StabilityWindow
from reporter.windows.sync_window import SyncWindow
from reporter.windows.trace_window import TraceWindow
from reporter.windows.vocabulary import Row

TRACE = "trace_window"
"""It says what became of the others as well, and so is made last."""


class PolicyTelling:
    """What a policy lets the rows of one report tell of their dimensions; `taken_off` counts what it did not."""

    def __init__(self, policy: Policy, consents: frozenset[str]) -> None:
        self._policy = policy
        self._consents = consents
        self._taken_off: Counter[tuple[str, str]] = Counter()

    def __call__(self, report: str, array: str, row: Row) -> Row:
        """As `reporter.windows.telling.Telling`."""
        telling = told(row, array, report=report, policy=self._policy, consents=self._consents)
        for name, word in row.items():
            if telling[name] != word:
                field = schema(report).by_path[f"{array}.{name}"]
                action = "drop" if telling[name] == field.blank() else "coarsen"
                self._taken_off[field.path, action] += 1
        return telling

    @property
    def taken_off(self) -> tuple[TakenOff, ...]:
        """Of the rows as they were before any were brought together."""
        return tuple(TakenOff(field, action, number) for (field, action), number in self._taken_off.items())


class Saying(NamedTuple):
    """How a span is told: by which rules about rows, and how old the manifest is."""

    folding: Folding
    manifest_age: float | None


Says = Callable[[Span, Saying], Row | None]
"""What a report of a span says below its header; None where there is nothing to say."""


def trace(span: Span, untold: Untold) -> Row:
    """The trace_window of a span: of its tasks, and of what the queue has not told yet."""
    # A copy, for closing may have to be tried again.
    window = deepcopy(span.window(TraceWindow))
    window.decided(span.tasks.decisions())
    window.count(closed=untold.closed, bytes_uploaded=untold.bytes_uploaded)
    delays = {"uploads_delayed": untold.uploads_delayed, "upload_delay": as_posted(untold.delays)}
    return window.values(untold.lost) | delays


def _routes(span: Span, saying: Saying) -> Row | None:
    row = span.tasks.route_values(saying.folding)
    return row if row["rows"] else None


def _fallbacks(span: Span, saying: Saying) -> Row | None:
    row = span.tasks.fallback_values(saying.folding)
    return row if row["rows"] or row["planned"] else None


def _inventory(span: Span, saying: Saying) -> Row | None:
    if not span.has(InventoryWindow):
        return None
    return span.window(InventoryWindow).values(saying.manifest_age, saying.folding.telling)


def _capabilities(span: Span, saying: Saying) -> Row | None:
    return span.window(CapabilityWindow).values(saying.folding.telling) if span.has(CapabilityWindow) else None


def _syncs(span: Span, saying: Saying) -> Row | None:
    work = span.tasks.offline_work()
    if not span.has(SyncWindow) and not any(work.values()):
        return None
    return span.window(SyncWindow).values(work, saying.folding.telling)


def _stability(span: Span, saying: Saying) -> Row | None:  # noqa: ARG001  # as every `Says`
    return span.window(StabilityWindow).values() if span.has(StabilityWindow) else None


def _paths(span: Span, saying: Saying) -> Row | None:
    return span.window(PathWindow).values(saying.folding.telling) if span.has(PathWindow) else None


def _health(span: Span, saying: Saying) -> Row | None:  # noqa: ARG001  # as every `Says`
    return span.window(HealthWindow).values() if span.has(HealthWindow) else None


SAYS: dict[str, Says] = {
    "route_window": _routes,
    "fallback_window": _fallbacks,
    "model_inventory": _inventory,
    "capability_probe": _capabilities,
    "sync_window": _syncs,
    "stability_window": _stability,
    "path_probe": _paths,
    "health_window": _health,
}
"""Every other report, in the order in which they are queued."""
