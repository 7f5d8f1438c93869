"""Spans as they end, of which the tasks are counted: each request once, however many layers told of it.

A framework and the client below it may both make a span for the same request. The innermost counts, because it knows
where the request went: a span is passed by when something below it was counted. That needs no look ahead, as what is
inside ends first, and what exporters send is in the order in which it ended.
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Protocol

from reporter.otel.mapping import task_of
from reporter.otel.spans import Span
from reporter.otel.table import Table
from reporter.windows.task import Task

MOST_REMEMBERED = 8192
"""Spans; 1 MiB. An inner span is remembered until so many others were, which is minutes of a busy device."""


class Takes(Protocol):
    """Whoever adds tasks up, such as a `Reporter`."""

    def take(self, task: Task) -> None:
        """A task that has just ended. Does not block, and raises nothing."""
        ...


class Remembered:
    """The last spans that were put in; the oldest is forgotten for a new one."""

    __slots__ = ("_most", "_spans")

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        # Not a plain dict, which looks for its first entry through all that were deleted before it.
        self._spans: OrderedDict[Hashable, None] = OrderedDict()
        self._most = most

    def __contains__(self, span: Hashable) -> bool:
        return span in self._spans

    def add(self, span: Hashable) -> None:
        self._spans[span] = None
        if len(self._spans) > self._most:
            self._spans.popitem(last=False)


class Intake:
    """Tells which spans are tasks, from any thread. The same span again is none."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._counted = Remembered()
        self._above = Remembered()
        self._lock = Lock()

    def task(self, span: Span) -> Task | None:
        """The task of a span that has ended, if it is one that nothing below it told of."""
        with self._lock:
            if self._is_told(span):
                return None
            task = task_of(span, self._table)
            if task is not None:
                self._remember(span)
            return task

    def is_above(self, span: Hashable) -> bool:
        """Something below this span was counted."""
        return span in self._above

    def _is_told(self, span: Span) -> bool:
        """What is above a counted span says nothing new, and what is above that neither."""
        if span.itself in self._counted:
            return True
        if span.itself not in self._above:
            return False
        if span.parent is not None:
            self._above.add(span.parent)
        return True

    def _remember(self, span: Span) -> None:
        if span.itself is not None:
            self._counted.add(span.itself)
        if span.parent is not None:
            self._above.add(span.parent)
